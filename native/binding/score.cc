// score(request) → task; planScore(request) → what it would hold and do. See lib/native/types.ts for the request.
#include <algorithm>
#include <utility>

#include "binding/handles.h"
#include "binding/program.h"
#include "binding/task.h"
#include "scoring/rate.h"
#include "scoring/score.h"

namespace warp {
namespace {

std::shared_ptr<ScoreJob> parse_job(const Napi::Object& o) {
  auto job = std::make_shared<ScoreJob>();
  job->path = path_of(o.Get("path"));
  job->program = parse_program(o.Get("network").As<Napi::Object>());
  parse_packed(o, job->texts);
  parse_learned(o, job->program, job->texts, job->label);
  job->domain = get_int32s(o, "domain");
  job->domains = size_t(get_number(o, "domains"));
  if (o.Get("scope").IsArray()) {
    job->names = parse_names(o.Get("scope"));
  } else {
    job->scope = get_string(o, "scope") == "top" ? Scope::kTop : Scope::kHead;
  }
  job->gradients = get_bool(o, "gradients");
  job->head_inputs = get_bool(o, "headInputs");
  job->base_only = get_bool(o, "baseOnly");
  if (o.Has("features")) {
    const Napi::Float32Array given = o.Get("features").As<Napi::Float32Array>();
    job->features = Buffer<float>(given.ElementLength());
    std::copy_n(given.Data(), given.ElementLength(), job->features.data());
  }
  job->threads = std::max(1, int(get_number(o, "threads")));
  job->memory = uint64_t(get_number(o, "memory"));
  job->device = parse_device(o);
  check_job(*job);
  return job;
}

Napi::Object plan_to_js(Napi::Env env, const ScorePlan& all) {
  const ForwardPlan& plan = all.forward;
  Napi::Object o = Napi::Object::New(env);
  o.Set("deviceBytes", double(all.device_bytes));
  o.Set("peakBytes", double(plan.peak_bytes));
  o.Set("smallestBytes", double(plan.smallest_bytes));
  o.Set("chunks", double(plan.chunks));
  o.Set("tiles", double(plan.tiles));
  o.Set("tokens", double(plan.tokens));
  o.Set("flops", plan.flops);
  return o;
}

Napi::Value statistics_to_js(Napi::Env env, const GradientStatistics& s) {
  Napi::Object o = Napi::Object::New(env);
  o.Set("scope", s.scope == Scope::kTop ? "top" : "head");
  o.Set("q", s.q);
  o.Set("gram", to_float64_array(env, s.gram));
  o.Set("displacement", to_float64_array(env, s.displacement));
  o.Set("displacementNorm2", s.displacement_norm2);
  o.Set("perProbe", to_float64_array(env, s.per_probe));
  return o;
}

Napi::Value score(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_job(call[0].As<Napi::Object>());
    const auto results = std::make_shared<ScoreResult>();
    return start_task(
        call.Env(), call[1], [job, results](Context& context) { *results = run_score(*job, context); },
        [job, results](Napi::Env env) -> Napi::Value {
          Napi::Object o = Napi::Object::New(env);
          o.Set("loss", to_float64_array(env, results->scores.loss));
          o.Set("alignment", to_float64_array(env, results->scores.alignment));
          o.Set("logits", to_float32_array(env, results->scores.logits));
          if (!results->token_loss.empty()) o.Set("tokenLoss", to_float64_array(env, results->token_loss));
          if (!results->head_inputs.empty()) o.Set("headInputs", to_float32_array(env, results->head_inputs));
          Napi::Array gradients = Napi::Array::New(env);
          for (uint32_t i = 0; i < results->gradients.size(); i++)
            gradients.Set(i, statistics_to_js(env, results->gradients[i]));
          o.Set("gradients", gradients);
          o.Set("record", record_to_js(env, *job->path));
          o.Set("plan", plan_to_js(env, results->plan));
          return o;
        });
  });
}

Napi::Value plan_score_call(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_job(call[0].As<Napi::Object>());
    const auto plan = std::make_shared<ScorePlan>();
    return start_task(
        call.Env(), call.Env().Undefined(), [job, plan](Context&) { *plan = plan_score(*job); },
        [plan](Napi::Env env) -> Napi::Value { return plan_to_js(env, *plan); });
  });
}

// Bytes that native buffers hold now: for tests of leaks.
Napi::Value memory_used(const Napi::CallbackInfo& call) {
  return Napi::Number::New(call.Env(), double(Memory::used().load()));
}

// measureProduct(rows, outputs, inputs, repeats, threads) → best rate over the repeats, flops per second
Napi::Value measure_product(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto number = [&](size_t i) { return size_t(call[i].As<Napi::Number>().Int64Value()); };
    return Napi::Number::New(call.Env(), measure_product_rate(cpu_ops(), number(0), number(1), number(2),
                                                              int(number(3)), int(number(4))));
  });
}

Napi::Value cpu_name(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value { return Napi::String::New(call.Env(), cpu_ops().name()); });
}

}  // namespace

void register_score(Napi::Env env, Napi::Object exports) {
  exports.Set("score", Napi::Function::New(env, score));
  exports.Set("planScore", Napi::Function::New(env, plan_score_call));
  exports.Set("memoryUsed", Napi::Function::New(env, memory_used));
  exports.Set("measureProduct", Napi::Function::New(env, measure_product));
  exports.Set("cpuName", Napi::Function::New(env, cpu_name));
}

}  // namespace warp
