#pragma once
// score_head and gradient_statistics on a GPU: the classification head at every point from head inputs that lie there.
// Only losses, logits, scores and the gradients' inner products come back.
#include "scoring/device_stage.h"
#include "scoring/gradients.h"

namespace warp {

struct HeadJob {
  const Program& program;
  const Path& path;
  const std::vector<int32_t>&label, &domain;
  size_t domains;
  Scope scope;
  bool gradients;     // their statistics too
  bool align = true;  // scores by the closed form of `scope`
};

struct HeadResult {
  HeadScores scores;
  std::vector<GradientStatistics> gradients;
};

// Bytes of device memory that score_head_on needs.
uint64_t head_room(const HeadJob& job);

// features: (points + 2) × texts × hidden on the device. The same errors as score_head.
HeadResult score_head_on(cuda::Backend& backend, const HeadJob& job, const float* features, DeviceRoom room,
                         Context& context);

}  // namespace warp
