#pragma once
// run_pass on a GPU, for classifiers: the same layer-major order, with tiles large enough to fill it. A layer's stored
// tensors are read and uploaded while the layer before computes; θ_k is formed on the device; activations of all points
// stay there. All device memory is taken before the first layer.
#include "ops/cuda/backend.h"
#include "scoring/device_stage.h"
#include "scoring/pass.h"

namespace warp {

struct DevicePlan {
  std::vector<Tile> tiles;
  ForwardPlan forward;        // peak_bytes, smallest_bytes: of device memory
  uint64_t staging_bytes = 0;  // page-locked host memory
};

// Head inputs on the device, (points + 2) × texts × features; valid as long as nothing else is reserved.
class DeviceForward {
 public:
  // budget: bytes of device memory, at most what is available; 0: all of that. Throws DEVICE_MEMORY_BUDGET, naming the
  // smallest budget that would do. `after_bytes`: what the caller wants of room() after run().
  // Bits depend on tile_tokens, not on the budget.
  DeviceForward(const Program& program, cuda::Backend& backend, const Path& path, const PackedTexts& texts,
                uint64_t budget, uint64_t after_bytes, size_t tile_tokens = 16384);
  const DevicePlan& plan() const { return plan_; }

  // Progress: tokens · layers · points. Takes the planned memory first: CUDA_OUT_OF_MEMORY only when not even the
  // smallest chunks fit.
  void run(Context& context);

  // (points + 2) × texts × hidden, after run().
  const float* features() const { return features_; }
  // The device memory beside them, free after run(): at least after_bytes.
  DeviceRoom room() const;

 private:
  class Run;
  void make_plan(uint64_t budget);
  FlowOptions layer_options(size_t layer) const { return {layer + 1 == program_.layers.size(), false, true}; }
  static constexpr FlowOptions kEmbedOptions = {false, true, true}, kHeadOptions = {false, true, true};

  const Program& program_;
  cuda::Backend& backend_;
  const Path& path_;
  const PackedTexts& texts_;
  const uint64_t after_bytes_;
  DevicePlan plan_;
  float* features_ = nullptr;
};

}  // namespace warp
