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
  exports.Set("requireCuda", Napi::Function::New(env, require));
}

}  // namespace warp
