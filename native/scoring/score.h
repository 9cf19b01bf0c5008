#pragma once
// One scoring job, whatever the objective, scope and device: what it would hold, and its results.
#include "scoring/classify.h"
#include "scoring/device_score.h"
#include "scoring/gradients.h"
#include "scoring/language.h"

namespace warp {

struct ScoreJob {
  Program program;
  std::shared_ptr<Path> path;
  PackedTexts texts;
  std::vector<int32_t> label, domain;  // label: classifiers
  size_t domains = 0;
  Scope scope = Scope::kHead;  // of classifiers, where there are no names
  ScopeNames names;            // tensors whose direction scores follow; none: the scope's closed form
  bool gradients = false, head_inputs = false;
  // (points + 2) × texts × features of an earlier run: nothing is computed but what follows from them; classifiers
  Buffer<float> features;
  bool base_only = false;  // θ₀ alone, in its place of the results; the reference is not read
  int threads = 1;
  uint64_t memory = 0;
  DeviceChoice device;  // no indices: the CPU

  bool on_device() const { return !device.indices.empty(); }
  size_t points() const { return size_t(path->points()); }
};

// What lib has promised; a broken promise is our bug, not the user's.
void check_job(const ScoreJob& job);

struct ScorePlan {
  std::vector<Tile> tiles;
  ForwardPlan forward;
  uint64_t device_bytes = 0;  // of one GPU
};
ScorePlan plan_score(const ScoreJob& job);

struct ScoreResult {
  ScorePlan plan;
  HeadScores scores;              // language models: no logits
  std::vector<double> token_loss;  // language models: tokens × 2, −log p of the target at θ₀ and θ*
  std::vector<float> head_inputs;
  std::vector<GradientStatistics> gradients;
};
ScoreResult run_score(const ScoreJob& job, Context& context);

}  // namespace warp
