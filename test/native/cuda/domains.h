#pragma once
// Gradients of domains on a device against the CPU: products, displacement and norms by group, plain and in Adam's
// metric.
#include "scopes.h"
#include "scoring/domains.h"

namespace scopes {

inline DomainJob job_of(const Case& c, Path* path, bool device, double rate = 1) {
  DomainJob job;
  job.program = c.program;
  job.path = std::shared_ptr<Path>(path, [](Path*) {});
  job.texts = c.texts;
  job.label = c.label;
  for (size_t i = 0; i < c.texts.texts(); i++) job.block.push_back(uint32_t(i % 4));
  job.domains = job.blocks = 2;
  job.point = 0;
  job.names = c.names;
  job.rate = rate;
  job.memory = uint64_t(1) << 32;
  if (device) job.device.indices = {0};
  return job;
}

inline DomainMoments moments(const DomainGradients& found, double power) {
  Threads threads(1);
  Context context;
  DomainMetric metric;
  if (power > 0) metric.shares = {0.5, 0.5};
  metric.gram_power = 2 * power;
  metric.displacement_power = power;
  return found.moments(metric, threads, context);
}

// A key's bias moves all scores of a query alike: its gradient is zero, and what rounding leaves of that has no size of
// its own to be divided by.
inline bool key_bias(const std::string& name) { return has(name, "key.bias") || has(name, "c_attn.bias"); }

// Gradients are products of factors that differ by 1e-5 of their size (forward_test.cc), summed in another order: 1e-4
// of the largest product; where they are divided by their own size, coordinates near zero count as much as large ones.
inline void check_domains(const Case& c, const std::string& what, double rate = 1) {
  Context context;
  const auto device = DomainGradients::compute(job_of(c, c.path.get(), true, rate), context);
  const auto cpu = DomainGradients::compute(job_of(c, c.same.get(), false, rate), context);
  CHECK(device->coordinates() == cpu->coordinates() && device->groups() == cpu->groups() && cpu->coordinates() > 0);
  check_close(device->loss(), cpu->loss(), 1e-5, what + ": loss");
  const bool sized = std::none_of(c.names.begin(), c.names.end(), key_bias);
  for (double power : sized ? std::vector<double>{0, 1} : std::vector<double>{0}) {
    const DomainMoments a = moments(*device, power), b = moments(*cpu, power);
    const std::string which = what + (power > 0 ? ", adam" : ", plain");
    check_close(a.gram, b.gram, power > 0 ? 1e-3 : 1e-4, which + ": gram");
    check_close(a.displacement, b.displacement, power > 0 ? 1e-3 : 1e-4, which + ": displacement");
    check_close(a.norm2, b.norm2, power > 0 ? 1e-3 : 1e-6, which + ": norm");
  }
}

inline Case all_of(Program program, const PathOptions& options = family("linear"),
                   const std::vector<uint32_t>& lengths = {5, 1, 17, 33, 9, 12, 2, 20}) {
  Case c = make_case(std::move(program), options, Dtype::kF32, lengths);
  c.names = names_of(c.program, [](const std::string& n) { return !key_bias(n); });
  return c;
}

}  // namespace scopes
