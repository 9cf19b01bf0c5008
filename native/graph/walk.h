#pragma once
// The backward pass of one tile: what is cheap is computed again, then the steps from behind.
#include "graph/backward.h"
#include "graph/calls.h"

namespace warp {

class Walk {
 public:
  struct Arguments {
    const Ops& ops;
    const GradientOps& backward;
    const Flow& flow;
    const GradientPlan& plan;
    const BackwardBlock::Pass& pass;
    const std::vector<float*>& turned;
    BlockMemory& shared;
    const float* dy;
    float* dx;
    double* sums;
    const std::vector<size_t>& sum_at;
    const BlockMemory& saved;
  };
  explicit Walk(const Arguments& arguments);
  void run();

 private:
  size_t row_of(const FlowSlot& slot) const;
  Place value(const Operand& o, bool whole = false) const;
  Place gradient(uint32_t slot, size_t at, bool whole = false) const;
  bool wanted(size_t action, size_t operand) const;

  void again();
  void again(const Action& action);
  void back(size_t index);
  void finish(uint32_t slot, bool all_rows);
  void pass_on(uint32_t slot, const GradientPlan::Passed& passed, bool first, bool all_rows);
  void clear(uint32_t slot, bool whole);
  template <class Write>
  void into(size_t index, size_t operand, Write write);

  void linear(size_t index);
  void norm(size_t index);
  void rope(size_t index);
  void attention(size_t index);
  void activate(size_t index);
  void multiply(size_t index);
  void drop(size_t index);
  void softcap(size_t index);
  void gather(size_t index);

  const Arguments a_;
  const Flow& flow_;
  const TileView& tile_;
  float *block_, *temporary_, *rest_;
  size_t top_ = 0, height_ = 0;
};

}  // namespace warp
