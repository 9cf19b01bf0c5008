#pragma once
// Everything `score` does on GPUs: forward passes and head. Several GPUs share the texts out among them.
#include "scoring/device.h"
#include "scoring/device_head.h"

namespace warp {

struct DeviceChoice {
  std::vector<int> indices;  // at least one
  Precision precision = Precision::kF32;
  uint64_t memory = 0;  // bytes on each; 0: what is available
};

struct DeviceJob {
  const Model& model;
  const Path& path;
  const PackedTexts& texts;
  const std::vector<int32_t>&label, &domain;
  size_t domains;
  Scope scope;
  bool features;  // the head inputs too
};

struct DeviceScored {
  HeadScores scores;
  Buffer<float> features;  // when asked for: (points + 2) × texts × hidden
};

// What each device will hold; the largest of several. Throws what keeps a device from being used, and
// DEVICE_MEMORY_BUDGET.
DevicePlan plan_on_devices(const DeviceChoice& choice, const DeviceJob& job);

DeviceScored score_on_devices(const DeviceChoice& choice, const DeviceJob& job, Context& context);

}  // namespace warp
