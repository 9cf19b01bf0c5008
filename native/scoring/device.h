#pragma once
// run_pass on a GPU: the same layer-major order, with tiles large enough to fill it. A layer's stored tensors are read
// and uploaded while the layer before computes; θ_k is formed on the device; activations of all points stay there, and
// their tangents along the path where names are given. All device memory is taken before the first layer.
#include "scoring/device_finish.h"

namespace warp {

struct DevicePlan {
  std::vector<Tile> tiles;
  ForwardPlan forward;         // peak_bytes, smallest_bytes: of device memory
  uint64_t staging_bytes = 0;  // page-locked host memory
  uint64_t host_bytes = 0;     // that, and stored tensors in the reader's hands
};

class DeviceForward {
 public:
  // budget: bytes of device memory, at most what is available; 0: all of that. Throws DEVICE_MEMORY_BUDGET, naming the
  // smallest budget that would do; DEVICE_HEAD_SIZE for what a GPU does not compute. `after_bytes`: what the caller
  // wants of room() after run(). Bits do not depend on the budget.
  DeviceForward(const DevicePass& pass, uint64_t budget, uint64_t after_bytes);
  const DevicePlan& plan() const { return plan_; }

  // Progress: tokens · layers · points. Takes the planned memory first: CUDA_OUT_OF_MEMORY only when not even the
  // smallest chunks fit.
  void run(Context& context);

  // Of classifiers the head inputs on the device, (points + 2) × texts × features, after run(); valid as long as
  // nothing else is reserved.
  const float* features() const { return features_; }
  // The device memory beside them, free after run(): at least after_bytes.
  DeviceRoom room() const;
  // After run().
  const DeviceResults& results() const { return results_; }

 private:
  class Run;
  void make_plan(uint64_t budget);
  FlowOptions layer_options(size_t layer) const {
    return {!pass_.program.every_row() && layer + 1 == pass_.program.layers.size(), false, true};
  }
  static constexpr FlowOptions kEmbedOptions = {false, true, true};
  size_t feature_count() const {
    return pass_.program.language ? 0 : size_t(pass_.passes()) * pass_.texts.texts() * pass_.program.features();
  }
  size_t layer_stage() const;
  bool apart_norm(const TablePlan& table) const;

  const DevicePass pass_;
  const uint64_t after_bytes_;
  DevicePlan plan_;
  float* features_ = nullptr;
  DeviceResults results_;
};

}  // namespace warp
