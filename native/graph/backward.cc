#include "graph/backward.h"

#include <algorithm>

#include "core/error.h"
#include "graph/walk.h"

namespace warp {

void BlockMemory::fit(const std::vector<size_t>& floats) {
  held.resize(std::max(held.size(), floats.size()));
  rows.resize(floats.size());
  for (size_t i = 0; i < floats.size(); i++) rows[i] = held[i].get(floats[i]);
}

BackwardBlock::BackwardBlock(const Block& block, bool selected, const Ops& ops, const GradientOps& backward)
    : block_(block), ops_(ops), backward_(backward) {
  FlowOptions options;
  options.selected = selected;
  options.training = true;
  flow_ = make_flow(block, options);
  for (const VectorPlan& vector : block.weights.vectors) {
    sum_at_.push_back(sums_);
    sums_ += vector.size;
  }
  plan_.make(flow_);
  step_of_linear_.assign(block.weights.linears.size(), -1);
  for (size_t i = 0; i < flow_.actions.size(); i++)
    if (flow_.actions[i].step.linear >= 0) step_of_linear_[size_t(flow_.actions[i].step.linear)] = int(i);
}

size_t BackwardBlock::scratch(size_t tokens, size_t longest) const {
  const size_t rows = std::min(tokens, ops_.block_rows());
  size_t rest = flow_.rest_floats(ops_, longest, false), widest = block_.widths[0];
  for (const Action& action : flow_.actions) {
    const Step& s = action.step;
    widest = std::max<size_t>({widest, flow_.slots[s.to].width, s.a.width});
    if (s.kind == StepKind::kLinear && !action.gather)
      rest = std::max(rest, ops_.linear_scratch(flow_.slots[s.to].width));
    if (s.kind == StepKind::kAttention) rest = std::max(rest, backward_.attention_scratch(longest, s.head_size));
  }
  const size_t forward = flow_.slot_floats(ops_, tokens);
  const size_t back = plan_.tile_floats * tokens + plan_.block_floats * rows + rows * widest;
  return std::max(forward, back) + rest;
}

std::vector<size_t> BackwardBlock::floats(const std::vector<uint32_t>& slots, size_t tokens, size_t texts) const {
  std::vector<size_t> floats;
  for (uint32_t slot : slots) {
    const FlowSlot& s = flow_.slots[slot];
    floats.push_back((s.selected ? texts : tokens) * s.width);
  }
  return floats;
}

void BackwardBlock::forward(const Pass& p, float* y) const {
  const FlowSlot& out = flow_.slots[flow_.output];
  RunArguments run{ops_,
                   flow_,
                   p.weights,
                   p.ropes,
                   p.tile,
                   p.input + p.training.first_token * block_.widths[0],
                   y + (out.selected ? p.training.first_text : p.training.first_token) * out.width,
                   p.scratch,
                   p.scratch + flow_.slot_floats(ops_, p.tile.tokens)};
  run.training = &p.training;
  run_flow(run);
}

void BackwardBlock::backward(const Pass& p, const std::vector<float*>& turned, const BlockMemory& saved,
                             BlockMemory& shared, const float* dy, float* dx, double* sums) const {
  Walk({ops_, backward_, flow_, plan_, p, turned, shared, dy, dx, sums, sum_at_, saved}).run();
}

Factor BackwardBlock::factor(size_t linear, const float* input, const BlockMemory& saved, const BlockMemory& shared,
                             const float* dy, Extent extent) const {
  const Step& s = flow_.actions[size_t(step_of_linear_.at(linear))].step;
  const FlowSlot &to = flow_.slots[s.to], &from = flow_.slots[s.a.slot];
  Factor f;
  f.dy = s.to == flow_.output ? dy : shared.rows[size_t(plan_.gradient[s.to].at)];
  f.lddy = to.width;
  f.ldx = from.width;
  f.rows = to.selected ? extent.texts : extent.tokens;
  f.x = s.a.slot == 0 ? input : from.again ? shared.rows[size_t(plan_.again[s.a.slot])] : saved.rows[from.at];
  f.x += s.a.at;
  return f;
}

}  // namespace warp
