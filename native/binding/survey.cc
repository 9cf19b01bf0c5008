#include "binding/survey.h"

#include <memory>
#include <thread>

#include "binding/handles.h"
#include "binding/task.h"
#include "scoring/survey.h"

namespace warp {
namespace {

Napi::Value to_js(Napi::Env env, const std::vector<TensorSurvey>& tensors) {
  Napi::Array array = Napi::Array::New(env, tensors.size());
  for (size_t i = 0; i < tensors.size(); i++) {
    const TensorSurvey& tensor = tensors[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", tensor.name);
    entry.Set("norm", tensor.norm);
    entry.Set("deltaNorm", tensor.delta_norm);
    entry.Set("maxDelta", tensor.max_delta);
    entry.Set("changed", double(tensor.changed));
    entry.Set("moved", double(tensor.moved));
    entry.Set("nonFinite", env.Null());
    if (tensor.non_finite != TensorSurvey::Side::kNone) {
      Napi::Object place = Napi::Object::New(env);
      place.Set("side", tensor.non_finite == TensorSurvey::Side::kBase ? "base" : "reference");
      place.Set("index", double(tensor.index));
      entry.Set("nonFinite", place);
    }
    array.Set(uint32_t(i), entry);
  }
  return array;
}

// survey(base, reference, threads, onProgress)
Napi::Value start_survey(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto base = weights_of(call[0]), reference = weights_of(call[1]);
    const int count = std::max(1, int(call[2].As<Napi::Number>().Int32Value()));
    const auto tensors = std::make_shared<std::vector<TensorSurvey>>();
    return start_task(
        call.Env(), call[3],
        [=](Context& context) {
          Threads threads(count);
          *tensors = survey(*base, *reference, threads, context);
        },
        [=](Napi::Env env) { return to_js(env, *tensors); });
  });
}

}  // namespace

void register_survey(Napi::Env env, Napi::Object exports) {
  exports.Set("survey", Napi::Function::New(env, start_survey));
}

}  // namespace warp
