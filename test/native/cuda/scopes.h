#pragma once
// Jobs with scores along the path in any scope, and with the language objective, on a device and on the CPU.
#include "on_cpu.h"
#include "on_device.h"
#include "scoring/device_score.h"
#include "scoring/score.h"
#include "small_language.h"

namespace scopes {

using namespace warp;

struct Case {
  Program program;
  std::unique_ptr<Path> path, same;  // the same path twice: nothing that one found reaches the other
  PackedTexts texts;
  std::vector<int32_t> label, domain;
  ScopeNames names;

  DevicePass pass(cuda::Backend& backend, size_t tile = 40, size_t logit_floats = 1000) const {
    return {program, backend, *path, texts, names.empty() ? nullptr : &names, &label, tile, logit_floats};
  }
  DeviceJob job() const {
    const bool named = !names.empty();
    return {program,
            texts,
            {program, *path, label, domain, 2, Scope::kHead, false, !named},
            false,
            named ? &names : nullptr};
  }
};

inline PathOptions family(const std::string& name, std::vector<double> lambdas = {0.2, 0.7}) {
  PathOptions options;
  options.family = name;
  options.lambdas = std::move(lambdas);
  return options;
}

// Canonical names that `wanted` takes.
template <class Wanted>
ScopeNames names_of(const Program& program, Wanted wanted) {
  ScopeNames names;
  for (const auto& [name, shape] : small::shapes(program))
    if (wanted(name)) names.insert(name);
  CHECK(!names.empty());
  return names;
}
inline bool has(const std::string& name, const std::string& part) { return name.find(part) != std::string::npos; }

inline Case make_case(Program program, const PathOptions& options, Dtype dtype = Dtype::kF32,
                      const std::vector<uint32_t>& lengths = {5, 1, 17, 33, 9, 12, 2, 20}) {
  Case c;
  c.program = std::move(program);
  const auto path = [&] {
    std::vector<std::shared_ptr<const Weights>> checkpoints;
    for (size_t i = 0; options.family == "trajectory" && i < options.lambdas.size(); i++)
      checkpoints.push_back(small::weights(c.program, dtype, 3 + i, 0.1));
    return std::make_unique<Path>(small::weights(c.program, dtype, 1, 0), small::weights(c.program, dtype, 2, 0.2),
                                  options, checkpoints);
  };
  c.path = path();
  c.same = path();
  c.texts = c.program.language ? small::language_texts(c.program, lengths) : small::texts(c.program, lengths);
  for (size_t i = 0; i < lengths.size(); i++) {
    c.label.push_back(int32_t(i * 2 % 3));
    c.domain.push_back(int32_t(i * 3 % 4 % 2));
  }
  return c;
}

inline ScoreResult on_cpu(const Case& c) {
  ScoreJob job;
  job.program = c.program;
  job.path = std::shared_ptr<Path>(c.same.get(), [](Path*) {});
  job.texts = c.texts;
  job.label = c.label;
  job.domain = c.domain;
  job.domains = 2;
  job.names = c.names;
  job.memory = uint64_t(1) << 32;
  Context context;
  return run_score(job, context);
}
inline DeviceScored on_device(const Case& c, uint64_t memory = 0) {
  Context context;
  return score_on_devices({{0}, Precision::kF32, memory}, c.job(), context);
}
inline double largest(const std::vector<double>& values) {
  double most = 0;
  for (double v : values) most = std::max(most, std::fabs(v));
  return most;
}
inline void check_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance,
                        const std::string& what) {
  CHECK(largest(b) > 0);
  device::check_near(a, b, tolerance * largest(b), what);
}

// What leaves the layers differs by 1e-5 of its size (forward_test.cc), and so do logits, which stay below ten: a
// token's loss by 1e-4, a text's of up to 32 by 32 times that at most. A tangent passes every step once beside the
// values, its errors those of its factors: 1e-5 of the largest for each of some ten factors.
inline void check_case(const Case& c, const std::string& what) {
  const DeviceScored device = on_device(c);
  const ScoreResult cpu = on_cpu(c);
  check_close(device.scores.loss, cpu.scores.loss, 1e-4, what + ": loss");
  CHECK(device.token_loss.size() == cpu.token_loss.size());
  if (c.program.language) {
    device::check_near(device.token_loss, cpu.token_loss, 1e-4, what + ": loss of tokens");
    CHECK(device.scores.logits.empty());
  }
  CHECK(device.scores.alignment.size() == cpu.scores.alignment.size());
  if (!c.names.empty()) check_close(device.scores.alignment, cpu.scores.alignment, 1e-4, what + ": alignment");
}

}  // namespace scopes
