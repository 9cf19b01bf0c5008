#pragma once
// Everything `score` does on GPUs. Several share the texts' forward passes out among them; the first does a
// classifier's head, which is little work.
#include "scoring/device.h"
#include "scoring/device_choice.h"
#include "scoring/device_head.h"

namespace warp {

struct DeviceJob {
  const Program& program;
  const PackedTexts& texts;
  HeadJob head;
  bool features;  // the head inputs too
  const ScopeNames* names = nullptr;  // tensors whose direction scores follow; null: the scope's closed form, or none
};

struct DeviceScored {
  HeadScores scores;  // language models: no logits
  std::vector<double> token_loss;  // language models: tokens × 2, −log p of the target at θ₀ and θ*
  std::vector<GradientStatistics> gradients;
  Buffer<float> features;  // when asked for: (points + 2) × texts × hidden
};

// What each device will hold; the largest of several. Throws what keeps a device from being used, and
// DEVICE_MEMORY_BUDGET.
DevicePlan plan_on_devices(const DeviceChoice& choice, const DeviceJob& job);

DeviceScored score_on_devices(const DeviceChoice& choice, const DeviceJob& job, Context& context);

}  // namespace warp
