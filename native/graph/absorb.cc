#include "graph/absorb.h"

#include <algorithm>

namespace warp {
namespace {

// The part of a linear layer that columns [at, at + width) of its output are, from `at` on; false: of several parts.
bool find_part(const LinearPlan& linear, size_t at, size_t width, LinearPlan::Part& found) {
  for (const LinearPlan::Part& part : linear.parts) {
    if (at < part.rows) {
      found = {part.weight, part.bias, part.first + at, width};
      return at + width <= part.rows;
    }
    at -= part.rows;
  }
  return false;
}

// The one attention of a block and the linear layer that its keys and values are columns of.
struct Found {
  size_t attention, linear;
  LinearPlan::Part key, value;
};

bool find(const Block& block, Found& found) {
  const std::vector<Step>& steps = block.steps;
  const auto is_attention = [](const Step& s) { return s.kind == StepKind::kAttention; };
  if (std::count_if(steps.begin(), steps.end(), is_attention) != 1) return false;
  found.attention = size_t(std::find_if(steps.begin(), steps.end(), is_attention) - steps.begin());
  const Step& s = steps[found.attention];
  if (s.heads != s.kv_heads || s.softcap > 0 || s.b.slot != s.c.slot || s.b.slot == block.output) return false;
  found.linear = steps.size();
  for (size_t i = 0; i < steps.size(); i++) {
    if (steps[i].to == s.b.slot) found.linear = i;
    for (const Operand& o : {steps[i].a, steps[i].b, steps[i].c})
      if (o.width > 0 && o.slot == s.b.slot && i != found.attention) return false;
  }
  if (found.linear == steps.size() || s.a.slot == s.b.slot) return false;
  const Step& made = steps[found.linear];
  if (made.kind != StepKind::kLinear || made.activation != Activation::kNone) return false;
  const LinearPlan& plan = block.weights.linears[size_t(made.linear)];
  return !plan.turned && find_part(plan, s.b.at, s.b.width, found.key) &&
         find_part(plan, s.c.at, s.c.width, found.value);
}

}  // namespace

Block absorb_keys(const Block& block) {
  Found found;
  if (!find(block, found)) return block;
  Block to = block;
  const Step attention = block.steps[found.attention], made = block.steps[found.linear];
  const size_t width = made.a.width, heads = attention.heads, size = attention.head_size;
  std::vector<LinearPlan>& linears = to.weights.linears;

  // by head: head_size columns of q to `width` by W_k as it is stored, and back by W_v
  const int first = int(linears.size());
  for (size_t head = 0; head < heads; head++) {
    LinearPlan plan;
    plan.parts = {{found.key.weight, "", 0, width}};
    plan.inputs = size;
    plan.first_input = found.key.first + head * size;
    plan.turned = true;
    plan.stored_outputs = width;
    linears.push_back(plan);
  }
  for (size_t head = 0; head < heads; head++) {
    LinearPlan plan;
    plan.parts = {{found.value.weight, found.value.bias, found.value.first + head * size, size}};
    plan.inputs = width;
    linears.push_back(plan);
  }
  const uint32_t wide = uint32_t(to.widths.size()), mixed = wide + 1;
  to.widths.insert(to.widths.end(), 2, uint32_t(heads * width));

  Step out;
  out.kind = StepKind::kLinear;
  out.groups = heads;
  Step in = out;
  in.a = attention.a;
  in.to = wide;
  in.linear = first;
  out.a = {mixed, 0, uint32_t(heads * width)};
  out.to = attention.to;
  out.linear = first + int(heads);
  Step over = attention;
  over.a = {wide, 0, uint32_t(heads * width)};
  over.b = over.c = made.a;
  over.to = mixed;
  over.kv_heads = 1;
  over.head_size = width;
  const auto at = to.steps.begin() + std::ptrdiff_t(found.attention);
  to.steps.insert(to.steps.erase(at), {in, over, out});

  // b_k is read all the same: the path's record names every tensor of the network
  if (!found.key.bias.empty()) to.weights.vectors.push_back({found.key.bias, found.key.rows});

  // the keys and values, and their weights
  to.steps.erase(to.steps.begin() + std::ptrdiff_t(found.linear));
  linears.erase(linears.begin() + made.linear);
  for (Step& step : to.steps)
    if (step.linear > made.linear) step.linear--;
  return to;
}

}  // namespace warp
