// score(request) → task; planScore(request) → what it would hold and do. See lib/native/types.ts for the request.
#include <algorithm>
#include <utility>

#include "binding/handles.h"
#include "binding/model.h"
#include "binding/task.h"
#include "scoring/device_score.h"
#include "scoring/forward.h"
#include "scoring/gradients.h"
#include "scoring/rate.h"

namespace warp {
namespace {

struct Request {
  std::shared_ptr<Path> path;
  std::unique_ptr<Model> model;
  PackedTexts texts;
  std::vector<int32_t> label, domain;
  size_t domains = 0;
  Scope scope = Scope::kHead;
  bool gradients = false, head_inputs = false;
  int threads = 1;
  uint64_t memory = 0;
  DeviceChoice device;  // no indices: the CPU

  bool on_device() const { return !device.indices.empty(); }
  DeviceJob job() const {
    return {*model, texts, {model->spec, *path, label, domain, domains, scope, gradients}, head_inputs};
  }
};

DeviceChoice parse_device(const Napi::Object& o) {
  DeviceChoice choice;
  if (!o.Has("device")) return choice;
  const Napi::Object device = o.Get("device").As<Napi::Object>();
  for (double index : get_doubles(device, "indices")) choice.indices.push_back(int(index));
  const std::string precision = get_string(device, "precision");
  choice.precision = precision == "tf32" ? Precision::kTF32 : precision == "bf16" ? Precision::kBF16 : Precision::kF32;
  choice.memory = uint64_t(get_number(device, "memory"));
  return choice;
}

std::shared_ptr<Request> parse_request(const Napi::Object& o) {
  auto request = std::make_shared<Request>();
  request->path = path_of(o.Get("path"));
  request->model = make_model(parse_model(o.Get("model").As<Napi::Object>()));
  request->texts.ids = get_uint32s(o, "ids");
  request->texts.types = get_bytes(o, "typeIds");
  request->texts.offsets = get_uint32s(o, "offsets");
  request->label = get_int32s(o, "label");
  request->domain = get_int32s(o, "domain");
  request->domains = size_t(get_number(o, "domains"));
  request->scope = get_string(o, "scope") == "top" ? Scope::kTop : Scope::kHead;
  request->gradients = get_bool(o, "gradients");
  request->head_inputs = get_bool(o, "headInputs");
  request->threads = std::max(1, int(get_number(o, "threads")));
  request->memory = uint64_t(get_number(o, "memory"));
  request->device = parse_device(o);
  return request;
}

// What lib has promised; a broken promise is our bug, not the user's.
void check_request(const Request& r) {
  const ModelSpec& spec = r.model->spec;
  const size_t texts = r.label.size();
  if (r.texts.offsets.size() != texts + 1 || r.domain.size() != texts || r.texts.offsets[0] != 0 ||
      r.texts.offsets.back() != r.texts.ids.size() ||
      (!r.texts.types.empty() && r.texts.types.size() != r.texts.ids.size()))
    throw internal_error("score: arrays of different lengths");
  std::vector<size_t> counts(r.domains);
  for (size_t t = 0; t < texts; t++) {
    const uint32_t begin = r.texts.offsets[t], end = r.texts.offsets[t + 1];
    if (end <= begin || end - begin > spec.positions) throw internal_error("score: text length");
    if (r.label[t] < 0 || size_t(r.label[t]) >= spec.labels || r.domain[t] < 0 || size_t(r.domain[t]) >= r.domains)
      throw internal_error("score: label or domain out of range");
    counts[r.domain[t]]++;
  }
  for (size_t count : counts)
    if (count == 0) throw internal_error("score: a domain without probes");
  for (uint32_t id : r.texts.ids)
    if (id >= spec.vocabulary) throw internal_error("score: token id out of range");
  for (uint8_t type : r.texts.types)
    if (type >= std::max<size_t>(1, spec.types)) throw internal_error("score: token type out of range");
}

struct Plan {
  std::vector<Tile> tiles;
  ForwardPlan forward;
  uint64_t device_bytes = 0;  // of one GPU
};

// The host's share of a run on GPUs: results, what is uploaded (twice in the reader's hands, once page-locked), and the
// head inputs where they are asked for.
Plan make_device_plan(const Request& r, uint64_t results, uint64_t features) {
  const DevicePlan device = plan_on_devices(r.device, r.job());
  const uint64_t statistics = r.gradients ? r.label.size() * (r.domains + 2) * sizeof(double) * 4 : 0;
  Plan plan;
  plan.forward = device.forward;
  plan.device_bytes = device.forward.peak_bytes;
  plan.forward.peak_bytes = 2 * (results + statistics) + 3 * device.staging_bytes + (r.head_inputs ? features : 0);
  plan.forward.smallest_bytes = plan.forward.peak_bytes;
  if (plan.forward.peak_bytes > r.memory) throw memory_budget(plan.forward.smallest_bytes, r.memory);
  return plan;
}

Plan make_plan(const Request& r) {
  const ModelSpec& spec = r.model->spec;
  const size_t texts = r.label.size(), points = size_t(r.path->points());
  const uint64_t results = texts * (points + 2) * (16 + spec.labels * 4 + (r.head_inputs ? spec.hidden * 4 : 0));
  const uint64_t features = (points + 2) * texts * spec.hidden * sizeof(float);
  if (r.on_device()) return make_device_plan(r, results, features);
  const uint64_t gradients = r.gradients ? gradient_bytes(spec, texts, r.domains, points, r.threads) : 0;
  // head scores hold every point's rows at once, as many as there are threads
  const uint64_t head =
      uint64_t(r.threads) * (texts * (spec.hidden * 12 + spec.labels * 8) + 3 * spec.hidden * spec.hidden * 8);
  const uint64_t after = results + features + std::max(gradients, head);
  Plan plan;
  plan.tiles = cut_tiles(spec, r.texts);
  plan.forward = plan_forward(*r.model, cpu_ops(), *r.path, r.texts, plan.tiles, r.threads, r.memory, results, after);
  return plan;
}

Napi::Object plan_to_js(Napi::Env env, const Plan& all) {
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

struct Results {
  Plan plan;
  HeadScores scores;
  std::vector<float> head_inputs;
  std::vector<GradientStatistics> gradients;
};

void run_on_devices(Request& r, Results& out, Context& context) {
  DeviceScored scored = score_on_devices(r.device, r.job(), context);
  out.scores = std::move(scored.scores);
  out.gradients = std::move(scored.gradients);
  out.head_inputs.assign(scored.features.begin(), scored.features.end());
}

void run(Request& r, Results& out, Context& context) {
  out.plan = make_plan(r);
  if (r.on_device()) return run_on_devices(r, out, context);
  Threads threads(r.threads);
  const auto report = std::exchange(context.report, nullptr);  // progress of the forward passes is in other units
  r.path->prepare(threads, context);
  context.report = report;
  const Head head(r.model->spec, *r.path, cpu_ops());
  const Buffer<float> features =
      run_forward(*r.model, cpu_ops(), *r.path, r.texts, out.plan.tiles, out.plan.forward, threads, context);
  out.scores = score_head(head, *r.path, features, r.label.size(), r.label, r.scope, threads, context);
  if (r.head_inputs) out.head_inputs.assign(features.begin(), features.end());
  if (r.gradients)
    out.gradients =
        gradient_statistics(head, *r.path, features, r.label.size(), r.label, r.domain, r.domains, threads, context);
}

Napi::Value score(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto request = parse_request(call[0].As<Napi::Object>());
    check_request(*request);
    const auto results = std::make_shared<Results>();
    return start_task(
        call.Env(), call[1], [request, results](Context& context) { run(*request, *results, context); },
        [request, results](Napi::Env env) -> Napi::Value {
          Napi::Object o = Napi::Object::New(env);
          o.Set("loss", to_float64_array(env, results->scores.loss));
          o.Set("alignment", to_float64_array(env, results->scores.alignment));
          o.Set("logits", to_float32_array(env, results->scores.logits));
          if (!results->head_inputs.empty()) o.Set("headInputs", to_float32_array(env, results->head_inputs));
          Napi::Array gradients = Napi::Array::New(env);
          for (uint32_t i = 0; i < results->gradients.size(); i++)
            gradients.Set(i, statistics_to_js(env, results->gradients[i]));
          o.Set("gradients", gradients);
          o.Set("record", record_to_js(env, *request->path));
          o.Set("plan", plan_to_js(env, results->plan));
          return o;
        });
  });
}

Napi::Value plan_score(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto request = parse_request(call[0].As<Napi::Object>());
    check_request(*request);
    const auto plan = std::make_shared<Plan>();
    return start_task(
        call.Env(), call.Env().Undefined(), [request, plan](Context&) { *plan = make_plan(*request); },
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
  exports.Set("planScore", Napi::Function::New(env, plan_score));
  exports.Set("memoryUsed", Napi::Function::New(env, memory_used));
  exports.Set("measureProduct", Napi::Function::New(env, measure_product));
  exports.Set("cpuName", Napi::Function::New(env, cpu_name));
}

}  // namespace warp
