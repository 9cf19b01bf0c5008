// What this machine offers to compute with.
#include <napi.h>

#include "binding/handles.h"
#include "binding/task.h"
#include "ops/cuda/device.h"

namespace warp {
namespace {

// info() → {cuda: {compiled, available, devices, driver, runtime, error, archs, name}}
Napi::Value info(const Napi::CallbackInfo& call) {
  const CudaInfo found = cuda_info();
  Napi::Object cuda = Napi::Object::New(call.Env()), all = Napi::Object::New(call.Env());
  cuda.Set("compiled", found.compiled);
  cuda.Set("available", found.available);
  cuda.Set("devices", found.devices);
  cuda.Set("driver", found.driver);
  cuda.Set("runtime", found.runtime);
  cuda.Set("error", found.error);
  cuda.Set("archs", found.archs);
  cuda.Set("name", found.name);
  all.Set("cuda", cuda);
  return all;
}

// cublasInfo() → {found, path, error, version}
Napi::Value cublas(const Napi::CallbackInfo& call) {
  const CublasInfo found = cublas_info();
  Napi::Object result = Napi::Object::New(call.Env());
  result.Set("found", found.found);
  result.Set("path", found.path);
  result.Set("error", found.error);
  result.Set("version", double(found.version));
  return result;
}

// checkDevices(indices) → task of {names, library}; rejects with why one cannot be used
Napi::Value check(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    struct Found {
      std::vector<std::string> names;
      size_t version = 0;
    };
    const Napi::Array given = call[0].As<Napi::Array>();
    std::vector<int> indices;
    for (uint32_t i = 0; i < given.Length(); i++) indices.push_back(given.Get(i).As<Napi::Number>().Int32Value());
    const auto found = std::make_shared<Found>();
    return start_task(
        call.Env(), call.Env().Undefined(),
        [=](Context& context) {
          for (int index : indices) {
            context.check();
            require_cuda(index);
            found->names.push_back(cuda_name(index));
          }
          found->version = cublas_info().version;
        },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          Napi::Array names = Napi::Array::New(env);
          for (uint32_t i = 0; i < found->names.size(); i++) names.Set(i, found->names[i]);
          result.Set("names", names);
          result.Set("library", "cuBLASLt " + std::to_string(found->version));
          return result;
        });
  });
}

// requireCuda(index): throws why the device cannot be used
Napi::Value require(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    require_cuda(call[0].As<Napi::Number>().Int32Value());
    return call.Env().Undefined();
  });
}

}  // namespace

void register_devices(Napi::Env env, Napi::Object exports) {
  exports.Set("info", Napi::Function::New(env, info));
  exports.Set("cublasInfo", Napi::Function::New(env, cublas));
  exports.Set("checkDevices", Napi::Function::New(env, check));
  exports.Set("requireCuda", Napi::Function::New(env, require));
}

}  // namespace warp
