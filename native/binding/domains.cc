// domainGradients(request) → task of a handle; domainMoments(handle, metric) → task; tokenGradients(request) → task.
// See lib/native/domain-types.ts.
#include <algorithm>

#include "binding/handles.h"
#include "binding/program.h"
#include "binding/task.h"
#include "scoring/domains.h"
#include "scoring/token_gradients.h"

namespace warp {
namespace {

constexpr napi_type_tag kDomainsTag = {0x77617270446f6d61ull, 0x7ull};

std::shared_ptr<DomainJob> parse_domain_job(const Napi::Object& o) {
  const auto job = std::make_shared<DomainJob>();
  job->path = path_of(o.Get("path"));
  job->program = parse_program(o.Get("network").As<Napi::Object>());
  parse_packed(o, job->texts);
  parse_learned(o, job->program, job->texts, job->label);
  job->block = get_uint32s(o, "block");
  job->domains = size_t(get_number(o, "domains"));
  job->blocks = size_t(get_number(o, "blocks"));
  job->point = int(get_number(o, "point"));
  job->names = parse_names(o.Get("scope"));
  job->rate = get_number(o, "rate");
  job->seed = uint64_t(get_number(o, "seed"));
  job->threads = std::max(1, int(get_number(o, "threads")));
  job->memory = uint64_t(get_number(o, "memory"));
  job->device = parse_device(o);
  if (job->block.size() != job->texts.texts() || job->blocks < 2 || job->point < 0 || job->point >= job->path->points())
    throw internal_error("domains: arrays of different lengths, or a point that the path has not");
  for (uint32_t block : job->block)
    if (block >= job->domains * job->blocks) throw internal_error("domains: block out of range");
  return job;
}

// planDomainGradients(request) → bytes that it would hold, of host and device
Napi::Value plan_domain_gradients(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_domain_job(call[0].As<Napi::Object>());
    const DomainGradients::Planned planned = DomainGradients::planned(*job);
    Napi::Object out = Napi::Object::New(call.Env());
    out.Set("bytes", double(planned.bytes));
    out.Set("deviceBytes", double(planned.device_bytes));
    return out;
  });
}

// domainGradients(request, onProgress)
Napi::Value domain_gradients(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = parse_domain_job(call[0].As<Napi::Object>());
    const auto found = std::make_shared<std::shared_ptr<DomainGradients>>();
    return start_task(
        call.Env(), call[1], [job, found](Context& context) { *found = DomainGradients::compute(*job, context); },
        [found](Napi::Env env) -> Napi::Value {
          Napi::Object out = Napi::Object::New(env);
          out.Set("handle", box(env, *found, kDomainsTag));
          out.Set("groups", double((*found)->groups()));
          out.Set("coordinates", double((*found)->coordinates()));
          out.Set("loss", to_float64_array(env, (*found)->loss()));
          return out;
        });
  });
}

// domainMoments(handle, {shares, batch, gramPower, displacementPower, threads}, onProgress)
Napi::Value domain_moments(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto gradients = unbox<DomainGradients>(call[0], kDomainsTag, "domain gradients");
    const Napi::Object o = call[1].As<Napi::Object>();
    DomainMetric metric;
    metric.shares = get_doubles(o, "shares");
    metric.batch = get_number(o, "batch");
    metric.gram_power = get_number(o, "gramPower");
    metric.displacement_power = get_number(o, "displacementPower");
    const int count = std::max(1, int(get_number(o, "threads")));
    const auto moments = std::make_shared<DomainMoments>();
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          Threads threads(count);
          *moments = gradients->moments(metric, threads, context);
        },
        [moments](Napi::Env env) -> Napi::Value {
          Napi::Object out = Napi::Object::New(env);
          out.Set("gram", to_float64_array(env, moments->gram));
          out.Set("displacement", to_float64_array(env, moments->displacement));
          out.Set("norm2", to_float64_array(env, moments->norm2));
          return out;
        });
  });
}

// tokenGradients(request, onProgress)
Napi::Value start_token_gradients(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object o = call[0].As<Napi::Object>();
    const auto job = std::make_shared<TokenGradientJob>();
    job->path = path_of(o.Get("path"));
    job->program = parse_program(o.Get("network").As<Napi::Object>());
    parse_packed(o, job->texts);
    parse_learned(o, job->program, job->texts, job->label);
    job->group = get_uint32s(o, "group");
    job->groups = size_t(get_number(o, "groups"));
    job->point = int(get_number(o, "point"));
    job->threads = std::max(1, int(get_number(o, "threads")));
    job->memory = uint64_t(get_number(o, "memory"));
    if (job->group.size() != job->texts.ids.size() || job->point < 0 || job->point >= job->path->points())
      throw internal_error("tokens: arrays of different lengths, or a point that the path has not");
    for (uint32_t group : job->group)
      if (group != kNoGroup && group >= job->groups) throw internal_error("tokens: group out of range");
    const auto sums = std::make_shared<std::vector<float>>();
    return start_task(
        call.Env(), call[1], [=](Context& context) { *sums = token_gradients(*job, context); },
        [sums](Napi::Env env) -> Napi::Value { return to_float32_array(env, *sums); });
  });
}

}  // namespace

void register_domains(Napi::Env env, Napi::Object exports) {
  exports.Set("domainGradients", Napi::Function::New(env, domain_gradients));
  exports.Set("planDomainGradients", Napi::Function::New(env, plan_domain_gradients));
  exports.Set("tokenGradients", Napi::Function::New(env, start_token_gradients));
  exports.Set("domainMoments", Napi::Function::New(env, domain_moments));
}

}  // namespace warp
