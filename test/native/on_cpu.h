#pragma once
// What the CPU backend makes of small models: the forward passes, and the head's results as a GPU gives them.
#include "scoring/classify.h"
#include "scoring/device_head.h"
#include "scoring/gradients.h"
#include "scoring/head.h"

namespace small {

using namespace warp;

struct OnCpu {
  Buffer<float> features;  // (points + 2) × texts × width: head inputs
  std::vector<double> alignment;  // with names
};

// The forward passes; with `names` their derivatives along these tensors too.
inline OnCpu forward_on_cpu(const Program& program, const Path& path, const PackedTexts& texts,
                            const std::vector<int32_t>& label, Threads& threads, const ScopeNames& names = {}) {
  const auto tiles = cut_tiles(program, texts);
  PassScope scope{names, {}};
  const PassArguments pass{program, cpu_ops(), path, texts, tiles, names.empty() ? nullptr : &scope};
  const ForwardPlan plan = plan_pass(pass, {threads.count(), uint64_t(4) << 30, 0, 0});
  ClassifySink sink(pass, label, threads.count());
  Context context;
  run_pass(pass, plan, sink, threads, context);
  OnCpu out;
  if (!names.empty()) out.alignment = sink.alignment();
  out.features = std::move(sink.features());
  return out;
}

inline HeadResult score_on_cpu(const Program& program, const PackedTexts& texts, const HeadJob& job, int threads) {
  Threads workers(threads);
  Context context;
  const Buffer<float> x = forward_on_cpu(program, job.path, texts, job.label, workers).features;
  const Head head(program, job.path, cpu_ops());
  HeadResult out;
  out.scores = score_head(head, job.path, x, job.path.points() + 2, job.label, job.scope, true, workers, context);
  if (job.gradients)
    out.gradients =
        gradient_statistics(head, job.path, x, texts.texts(), job.label, job.domain, job.domains, workers, context);
  return out;
}

}  // namespace small
