// Paths: opening them, their constants, θ of one tensor.
#include <algorithm>
#include <memory>

#include "binding/handles.h"
#include "binding/task.h"

namespace warp {
namespace {

constexpr napi_type_tag kPathTag = {0x7761727050617468ull, 0x2ull};

PathOptions path_options(const Napi::Object& request) {
  PathOptions options;
  options.family = get_string(request, "family");
  options.lambdas = get_doubles(request, "lambdas");
  const auto number = [&](const char* key, double& value) {
    if (request.Has(key)) value = get_number(request, key);
  };
  number("quadraticC", options.quadratic_c);
  number("density", options.density);
  number("epsilon", options.epsilon);
  number("gamma", options.gamma);
  double seed = 0;
  number("seed", seed);
  options.seed = uint64_t(seed);
  if (request.Has("rescale")) options.rescale = get_string(request, "rescale");
  if (request.Has("mergekit")) options.mergekit = get_bool(request, "mergekit");
  if (request.Has("fixed")) {
    const Napi::Array names = request.Get("fixed").As<Napi::Array>();
    for (uint32_t i = 0; i < names.Length(); i++) options.fixed.push_back(names.Get(i).As<Napi::String>());
  }
  return options;
}

// openPath(base, reference, request)
Napi::Value open_path(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object request = call[2].As<Napi::Object>();
    std::vector<std::shared_ptr<const Weights>> checkpoints;
    if (request.Has("checkpoints")) {
      const Napi::Array handles = request.Get("checkpoints").As<Napi::Array>();
      for (uint32_t i = 0; i < handles.Length(); i++) checkpoints.push_back(weights_of(handles.Get(i)));
    }
    return box(call.Env(),
               std::make_shared<Path>(weights_of(call[0]), weights_of(call[1]), path_options(request),
                                      std::move(checkpoints)),
               kPathTag);
  });
}

}  // namespace

Napi::Value record_to_js(Napi::Env env, const Path& path) {
  const std::vector<TensorRecord> records = path.record();
  Napi::Array array = Napi::Array::New(env, records.size());
  for (size_t i = 0; i < records.size(); i++) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", records[i].name);
    entry.Set("branch", records[i].branch);
    entry.Set("elements", double(records[i].elements));
    entry.Set("kept", env.Null());
    if (records[i].kept != TensorConstants::kUnknown) entry.Set("kept", double(records[i].kept));
    entry.Set("scale", records[i].scale);
    array.Set(uint32_t(i), entry);
  }
  return array;
}

namespace {

// preparePath(path, threads, onProgress)
Napi::Value prepare_path(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<Path> path = path_of(call[0]);
    const int count = std::max(1, call[1].As<Napi::Number>().Int32Value());
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          Threads threads(count);
          path->prepare(threads, context);
        },
        [=](Napi::Env env) { return record_to_js(env, *path); });
  });
}

// pathMoves(path)
Napi::Value path_moves(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<Path> path = path_of(call[0]);
    const auto moves = std::make_shared<bool>(false);
    return start_task(
        call.Env(), call.Env().Undefined(), [=](Context& context) { *moves = path->moves(context); },
        [=](Napi::Env env) { return Napi::Boolean::New(env, *moves); });
  });
}

// pathTensor(path, name, lambda)
Napi::Value path_tensor(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<Path> path = path_of(call[0]);
    const std::string name = call[1].As<Napi::String>();
    const double lambda = call[2].As<Napi::Number>();
    const auto values = std::make_shared<std::vector<float>>();
    return start_task(
        call.Env(), call.Env().Undefined(),
        [=](Context& context) {
          const PathTensor tensor = path->load(name);
          values->resize(tensor.elements());
          constexpr size_t kStep = 1 << 20;
          for (size_t done = 0; done < values->size(); done += kStep) {
            context.check();
            tensor.at(lambda, done, std::min(kStep, values->size() - done), values->data() + done);
          }
        },
        [=](Napi::Env env) { return to_float32_array(env, *values); });
  });
}

}  // namespace

std::shared_ptr<Path> path_of(const Napi::Value& handle) { return unbox<Path>(handle, kPathTag, "a path"); }

void register_paths(Napi::Env env, Napi::Object exports) {
  exports.Set("openPath", Napi::Function::New(env, open_path));
  exports.Set("preparePath", Napi::Function::New(env, prepare_path));
  exports.Set("pathMoves", Napi::Function::New(env, path_moves));
  exports.Set("pathTensor", Napi::Function::New(env, path_tensor));
}

}  // namespace warp
