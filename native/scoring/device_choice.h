#pragma once
// Which GPUs, and how.
#include "ops/cuda/backend.h"

namespace warp {

struct DeviceChoice {
  std::vector<int> indices;  // at least one
  Precision precision = Precision::kF32;
  uint64_t memory = 0;  // bytes on each; 0: what is available
};

}  // namespace warp
