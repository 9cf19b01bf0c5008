#pragma once
// A block in training: its parameters, packed for both directions, and their gradients.
#include "core/threads.h"
#include "graph/backward.h"
#include "training/batch.h"
#include "training/parameters.h"

namespace warp {

class TrainedBlock {
 public:
  TrainedBlock(const Block& block, bool selected, Parameters& parameters, const Ops& ops, const BackwardOps& backward);

  bool trainable() const;
  const BackwardBlock& graph() const { return graph_; }
  bool selected() const { return selected_; }

  // θ in the layout that products want: y = x Wᵀ, or dx = dy W when `turned`.
  void pack(Threads& threads, bool turned);
  const BlockPoint& point() const { return point_; }
  const std::vector<float*>& packed() const { return point_.packed; }

  // Adds the gradients of weights and biases; every element in a fixed order of rows. dy: as backward() got it.
  void weight_gradients(const float* input, const BlockMemory& saved, const BlockMemory& shared, const float* dy,
                        BackwardBlock::Extent extent, Threads& threads);
  void vector_gradients(const double* sums);

 private:
  void pack_part(size_t linear, size_t first, size_t count, bool turned);
  void part_gradient(const LinearPlan& linear, size_t part, size_t first, size_t count, const Factor& factor,
                     float* scratch);

  const Block& block_;
  const bool selected_;
  Parameters& parameters_;
  const Ops& ops_;
  const BackwardOps& backward_;
  const BackwardBlock graph_;
  BlockPoint point_;
};

}  // namespace warp
