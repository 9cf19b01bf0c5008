#pragma once
// What the CPU backend makes of small models: the forward passes, and the head's results as a GPU gives them.
#include "scoring/device_head.h"
#include "scoring/forward.h"
#include "scoring/gradients.h"
#include "scoring/head.h"

namespace small {

using namespace warp;

// Head inputs, as run_forward returns them.
inline Buffer<float> forward_on_cpu(const Model& model, const Path& path, const PackedTexts& texts, Threads& threads) {
  const auto tiles = cut_tiles(model.spec, texts);
  const ForwardPlan plan = plan_forward(model, cpu_ops(), path, texts, tiles, threads.count(), uint64_t(4) << 30, 0, 0);
  Context context;
  return run_forward(model, cpu_ops(), path, texts, tiles, plan, threads, context);
}

inline HeadResult score_on_cpu(const Model& model, const PackedTexts& texts, const HeadJob& job, int threads) {
  Threads workers(threads);
  Context context;
  const Buffer<float> x = forward_on_cpu(model, job.path, texts, workers);
  const Head head(job.spec, job.path, cpu_ops());
  HeadResult out;
  out.scores = score_head(head, job.path, x, texts.texts(), job.label, job.scope, workers, context);
  if (job.gradients)
    out.gradients =
        gradient_statistics(head, job.path, x, texts.texts(), job.label, job.domain, job.domains, workers, context);
  return out;
}

}  // namespace small
