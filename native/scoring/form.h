#pragma once
// θ_k of one layer in the backend's layout, formed from the pair's stored tensors.
#include <map>

#include "models/model.h"
#include "paths/path.h"

namespace warp {

// The stored tensors of one layer, read once for all points.
class LayerSource {
 public:
  LayerSource(const Path& path, const LayerPlan& plan);
  // Packed buffers of the right size, to be filled by form().
  LayerPoint allocate(const Ops& ops) const;
  // Fills `point` with θ_k; parallel, the same bits for any number of threads.
  void form(const Ops& ops, Threads& threads, int k, LayerPoint& point) const;

  static uint64_t stored_bytes(const Path& path, const LayerPlan& plan);
  static uint64_t point_bytes(const Ops& ops, const LayerPlan& plan, size_t hidden);

 private:
  void form_outputs(const Ops& ops, const LinearPlan& linear, int k, size_t first, float* packed) const;
  void form_inputs(const Ops& ops, const LinearPlan& linear, int k, size_t first, float* packed) const;
  void form_vectors(int k, LayerPoint& point) const;

  const LayerPlan& plan_;
  std::map<std::string, PathTensor> tensors_;
};

// All of a tensor at point k.
Buffer<float> whole_point(const PathTensor& tensor, int k);

}  // namespace warp
