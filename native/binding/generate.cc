// generate(request) → task; planGenerate(request) → what it would hold; compare(request) → task. See
// lib/native/types.ts for the request.
#include "binding/generate.h"

#include <algorithm>

#include "binding/handles.h"
#include "binding/program.h"
#include "binding/task.h"
#include "generate/compare.h"
#include "generate/generate.h"

namespace warp {
namespace {

std::shared_ptr<GenerateJob> parse_job(const Napi::Object& o) {
  auto job = std::make_shared<GenerateJob>();
  job->path = path_of(o.Get("path"));
  job->program = parse_program(o.Get("network").As<Napi::Object>());
  job->point = int(get_number(o, "point"));
  job->ids = get_uint32s(o, "ids");
  job->offsets = get_uint32s(o, "offsets");
  job->new_tokens = size_t(get_number(o, "newTokens"));
  job->ends = get_uint32s(o, "ends");
  job->sample.temperature = get_number(o, "temperature");
  job->sample.top_k = size_t(get_number(o, "topK"));
  job->sample.top_p = get_number(o, "topP");
  job->contrastive = o.Has("contrast");
  if (job->contrastive) {
    job->sample.contrast = get_number(o, "contrast");
    job->sample.floor = get_number(o, "floor");
  }
  job->base = get_bool(o, "base");
  job->seed = uint64_t(get_number(o, "seed"));
  job->threads = std::max(1, int(get_number(o, "threads")));
  job->memory = uint64_t(get_number(o, "memory"));
  check_generate(*job);
  return job;
}

Napi::Object plan_to_js(Napi::Env env, const GeneratePlan& plan) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("peakBytes", double(plan.peak_bytes));
  o.Set("smallestBytes", double(plan.smallest_bytes));
  o.Set("atOnce", double(plan.at_once));
  return o;
}

template <class Array, class T>
Array to_array(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Value generate(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_job(call[0].As<Napi::Object>());
    const auto result = std::make_shared<GenerateResult>();
    return start_task(
        call.Env(), call[1], [job, result](Context& context) { *result = run_generate(*job, context); },
        [result](Napi::Env env) -> Napi::Value {
          Napi::Object o = Napi::Object::New(env);
          o.Set("ids", to_array<Napi::Uint32Array>(env, result->ids));
          o.Set("offsets", to_array<Napi::Uint32Array>(env, result->offsets));
          o.Set("logProbability", to_float64_array(env, result->log_probability));
          o.Set("baseLogProbability", to_float64_array(env, result->base_log_probability));
          o.Set("ended", to_array<Napi::Uint8Array>(env, result->ended));
          o.Set("plan", plan_to_js(env, result->plan));
          return o;
        });
  });
}

Napi::Value plan_generate_call(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_job(call[0].As<Napi::Object>());
    const auto plan = std::make_shared<GeneratePlan>();
    return start_task(
        call.Env(), call.Env().Undefined(), [job, plan](Context&) { *plan = plan_generate(*job); },
        [plan](Napi::Env env) -> Napi::Value { return plan_to_js(env, *plan); });
  });
}

std::shared_ptr<CompareJob> parse_compare(const Napi::Object& o) {
  auto job = std::make_shared<CompareJob>();
  job->path = path_of(o.Get("path"));
  job->program = parse_program(o.Get("network").As<Napi::Object>());
  job->texts.ids = get_uint32s(o, "ids");
  job->texts.offsets = get_uint32s(o, "offsets");
  job->texts.targets = get_uint32s(o, "targets");
  job->top = size_t(get_number(o, "top"));
  job->positions = size_t(get_number(o, "positions"));
  job->mean_layer = o.Has("meanLayer") ? size_t(get_number(o, "meanLayer")) : 0;
  job->threads = std::max(1, int(get_number(o, "threads")));
  job->memory = uint64_t(get_number(o, "memory"));
  return job;
}

Napi::Value compared(Napi::Env env, const CompareResult& result) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("divergence", to_float64_array(env, result.divergence));
  o.Set("promoted", to_array<Napi::Uint32Array>(env, result.promoted));
  o.Set("suppressed", to_array<Napi::Uint32Array>(env, result.suppressed));
  o.Set("baseExpected", to_float64_array(env, result.expected[0]));
  o.Set("referenceExpected", to_float64_array(env, result.expected[1]));
  Napi::Array lens = Napi::Array::New(env, result.lens.size());
  for (uint32_t i = 0; i < result.lens.size(); i++) {
    Napi::Object place = Napi::Object::New(env);
    place.Set("norm", result.lens[i].norm);
    place.Set("baseNorm", result.lens[i].base_norm);
    place.Set("tokens", to_array<Napi::Uint32Array>(env, result.lens[i].tokens));
    place.Set("away", to_array<Napi::Uint32Array>(env, result.lens[i].away));
    lens.Set(i, place);
  }
  o.Set("lens", lens);
  o.Set("means", to_float64_array(env, result.means));
  o.Set("peakBytes", double(result.plan.peak_bytes));
  return o;
}

Napi::Value compare(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_compare(call[0].As<Napi::Object>());
    const auto result = std::make_shared<CompareResult>();
    return start_task(
        call.Env(), call[1], [job, result](Context& context) { *result = run_compare(*job, context); },
        [result](Napi::Env env) -> Napi::Value { return compared(env, *result); });
  });
}

}  // namespace

void register_generate(Napi::Env env, Napi::Object exports) {
  exports.Set("generate", Napi::Function::New(env, generate));
  exports.Set("compare", Napi::Function::New(env, compare));
  exports.Set("planGenerate", Napi::Function::New(env, plan_generate_call));
}

}  // namespace warp
