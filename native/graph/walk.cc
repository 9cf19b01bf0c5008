#include "graph/walk.h"

#include <algorithm>

#include "core/error.h"

namespace warp {

Walk::Walk(const Arguments& arguments) : a_(arguments), flow_(a_.flow), tile_(a_.pass.tile) {
  const size_t rows = std::min(tile_.tokens, a_.ops.block_rows());
  size_t widest = flow_.slots[0].width;
  for (const FlowSlot& slot : flow_.slots) widest = std::max<size_t>(widest, slot.width);
  block_ = a_.pass.scratch + a_.plan.tile_floats * tile_.tokens;
  temporary_ = block_ + a_.plan.block_floats * rows;
  rest_ = temporary_ + rows * widest;
}

void Walk::run() {
  again();
  for (size_t p = flow_.pieces.size(); p-- > 0;) {
    const Piece& piece = flow_.pieces[p];
    const size_t rows = piece.selected ? tile_.texts : tile_.tokens, block = piece.whole ? rows : a_.ops.block_rows();
    for (size_t top = 0; top < rows; top += block) {
      top_ = top;
      height_ = std::min(block, rows - top);
      for (size_t i = piece.end; i-- > piece.first;) {
        finish(flow_.actions[i].step.to, piece.whole);
        back(i);
      }
    }
  }
  top_ = 0;
  height_ = tile_.tokens;
  if (!a_.dx) return;
  finish(0, true);
  if (flow_.output != 0) return;  // else nothing is done in the block
  const FlowSlot& x = flow_.slots[0];
  const size_t from = row_of(x) * x.width;
  a_.ops.gather(tile_.tokens, x.width, a_.dy + from, x.width, nullptr, a_.dx + from, x.width);
}

// First row of a tile in arrays of the whole batch.
size_t Walk::row_of(const FlowSlot& slot) const {
  return slot.selected ? a_.pass.training.first_text : a_.pass.training.first_token;
}

Place Walk::value(const Operand& o, bool whole) const {
  const FlowSlot& s = flow_.slots[o.slot];
  float* data = o.slot == 0 ? a_.pass.input
                : s.again   ? a_.shared.rows[size_t(a_.plan.again[o.slot])]
                            : a_.saved.rows[s.at];
  return {data + (row_of(s) + (whole ? 0 : top_)) * s.width + o.at, s.width};
}

Place Walk::gradient(uint32_t slot, size_t at, bool whole) const {
  const FlowSlot& s = flow_.slots[slot];
  const GradientPlan::Place& place = a_.plan.gradient[slot];
  const size_t ld = s.width, top = whole ? 0 : top_, rows = std::min(tile_.tokens, a_.ops.block_rows());
  switch (place.kind) {
    case GradientPlan::kInput: return {a_.dx + (row_of(s) + top) * ld + at, ld};
    case GradientPlan::kOutput: return {const_cast<float*>(a_.dy) + (row_of(s) + top) * ld + at, ld};  // only read
    case GradientPlan::kShared: return {a_.shared.rows[place.at] + (row_of(s) + top) * ld + at, ld};
    case GradientPlan::kTile: return {a_.pass.scratch + place.at * tile_.tokens + top * ld + at, ld};
    case GradientPlan::kBlock: return {block_ + place.at * rows + at, ld};
    default: throw internal_error("walk: a gradient without a place");
  }
}

bool Walk::wanted(size_t action, size_t operand) const {
  const Step& s = flow_.actions[action].step;
  const uint32_t slot = (operand == 0 ? s.a : operand == 1 ? s.b : s.c).slot;
  return a_.plan.flowing[action][operand].wanted && (slot != 0 || a_.dx);
}

void Walk::again() {
  for (const Piece& piece : flow_.pieces) {
    const size_t rows = piece.selected ? tile_.texts : tile_.tokens, block = piece.whole ? rows : a_.ops.block_rows();
    for (size_t top = 0; top < rows; top += block) {
      top_ = top;
      height_ = std::min(block, rows - top);
      for (size_t i = piece.first; i < piece.end; i++)
        if (flow_.slots[flow_.actions[i].step.to].again) again(flow_.actions[i]);
    }
  }
}

void Walk::again(const Action& action) {
  const Step& s = action.step;
  const size_t width = flow_.slots[s.to].width;
  const Place x = value(s.a, action.gather), to = value({s.to, 0, uint32_t(width)}, action.gather);
  if (action.gather) return a_.ops.gather(tile_.texts, width, x.data, x.ld, tile_.rows, to.data, to.ld);
  switch (s.kind) {
    case StepKind::kNorm:
      if (is_layer_norm(s))
        return a_.ops.layer_norm(height_, width, x.data, x.ld, nullptr, 0, vector_of(a_.pass.weights, s.gain),
                                 vector_of(a_.pass.weights, s.bias), s.epsilon, to.data, to.ld);
      return a_.ops.norm(norm_call(s, height_, width, a_.pass.weights), x.data, x.ld, to.data, to.ld);
    case StepKind::kActivate: return a_.ops.activate(s.activation, height_, width, x.data, x.ld, to.data, to.ld);
    case StepKind::kMultiply: return a_.ops.multiply(height_, width, x.view(), value(s.b).view(), to.matrix());
    default: throw internal_error("walk: a step that is not computed again");
  }
}

void Walk::clear(uint32_t slot, bool whole) {
  const FlowSlot& s = flow_.slots[slot];
  const Place to = gradient(slot, 0, whole);
  const size_t rows = whole ? (s.selected ? tile_.texts : tile_.tokens) : height_;
  a_.backward.clear(rows * s.width, to.data);
}

// What additions passed on to a slot comes last; then its gradient is complete.
void Walk::finish(uint32_t slot, bool all_rows) {
  bool first = !a_.plan.computed[slot];
  for (const GradientPlan::Passed& passed : a_.plan.passed[slot]) {
    pass_on(slot, passed, first, all_rows);
    first = false;
  }
}

void Walk::pass_on(uint32_t slot, const GradientPlan::Passed& passed, bool first, bool all_rows) {
  const FlowSlot& s = flow_.slots[slot];
  const size_t rows = all_rows ? (s.selected ? tile_.texts : tile_.tokens) : height_, top = all_rows ? 0 : top_;
  const Place to = gradient(slot, 0, all_rows);
  if (!passed.scatter) {
    const Place from = gradient(passed.from, 0, all_rows);
    if (first) return a_.ops.gather(rows, s.width, from.data, from.ld, nullptr, to.data, to.ld);
    return a_.ops.add(rows, s.width, from.data, from.ld, to.data, to.ld);
  }
  if (first) clear(slot, all_rows);
  const Place from = gradient(passed.from, 0, true);
  if (top == 0 && rows == tile_.tokens)
    return a_.ops.scatter_add(tile_.texts, s.width, from.view(), tile_.rows, to.matrix());
  for (size_t t = 0; t < tile_.texts; t++)
    if (tile_.rows[t] >= top && tile_.rows[t] < top + rows)
      a_.ops.add(1, s.width, from.data + t * from.ld, from.ld, to.data + (tile_.rows[t] - top) * to.ld, to.ld);
}

// write(place): an operand's gradient from this action goes there; added to what lies there where it is not the first.
template <class Write>
void Walk::into(size_t index, size_t operand, Write write) {
  if (!wanted(index, operand)) return;
  const Step& s = flow_.actions[index].step;
  const Operand& o = operand == 0 ? s.a : operand == 1 ? s.b : s.c;
  const GradientPlan::Flowing& f = a_.plan.flowing[index][operand];
  if (f.clear) clear(o.slot, false);
  const Place to = gradient(o.slot, o.at);
  if (f.first) return write(to);
  const Place other{temporary_, o.width};
  write(other);
  a_.ops.add(height_, o.width, other.data, other.ld, to.data, to.ld);
}

void Walk::back(size_t index) {
  const Action& action = flow_.actions[index];
  if (action.gather) return gather(index);
  switch (action.step.kind) {
    case StepKind::kLinear: return linear(index);
    case StepKind::kNorm: return norm(index);
    case StepKind::kRope: return rope(index);
    case StepKind::kAttention: return attention(index);
    case StepKind::kActivate: return activate(index);
    case StepKind::kMultiply: return multiply(index);
    case StepKind::kAdd: return;  // passed on
    case StepKind::kDrop: return drop(index);
    case StepKind::kSoftcap: return softcap(index);
  }
}

void Walk::linear(size_t index) {
  const Step& s = flow_.actions[index].step;
  const Place dy = gradient(s.to, 0);
  into(index, 0, [&](const Place& to) {
    a_.ops.linear(height_, s.a.width, flow_.slots[s.to].width, dy.data, dy.ld, a_.turned[size_t(s.linear)], nullptr,
                  Activation::kNone, to.data, to.ld, rest_);
  });
}

void Walk::norm(size_t index) {
  const Step& s = flow_.actions[index].step;
  const size_t width = flow_.slots[s.to].width;
  const Place x = value(s.a), dy = gradient(s.to, 0);
  double* gain = a_.sums + a_.sum_at[size_t(s.gain)];
  double* bias = s.bias < 0 ? nullptr : a_.sums + a_.sum_at[size_t(s.bias)];
  const auto write = [&](const Place& to) {
    if (is_layer_norm(s))
      return a_.backward.layer_norm_backward(height_, width, x.data, x.ld, vector_of(a_.pass.weights, s.gain),
                                             s.epsilon, dy.data, dy.ld, to.data, to.ld, gain, bias);
    NormGradients g{};
    g.dy = dy.data;
    g.lddy = dy.ld;
    g.dx = to.data;
    g.lddx = to.ld;
    g.gain = gain;
    g.bias = bias;
    a_.backward.norm_backward(norm_call(s, height_, width, a_.pass.weights), x.data, x.ld, g);
  };
  if (!wanted(index, 0)) return write({temporary_, width});  // the sums are wanted all the same
  into(index, 0, write);
}

void Walk::rope(size_t index) {
  const Step& s = flow_.actions[index].step;
  RopeCall c = rope_call(s, flow_.slots[s.to], tile_, a_.pass.ropes[size_t(s.rope)], top_, height_);
  c.inverse = true;
  const Place dy = gradient(s.to, 0);
  into(index, 0, [&](const Place& to) { a_.ops.rope(c, dy.data, dy.ld, to.data, to.ld); });
}

void Walk::attention(size_t index) {
  const Step& s = flow_.actions[index].step;
  for (size_t n = 0; n < 3; n++)
    if (!wanted(index, n) || !a_.plan.flowing[index][n].first)
      throw internal_error("walk: attention shares its operands with another step");
  const Place q = value(s.a, true), k = value(s.b, true), v = value(s.c, true), dy = gradient(s.to, 0, true);
  const Place dq = gradient(s.a.slot, s.a.at, true), dk = gradient(s.b.slot, s.b.at, true),
              dv = gradient(s.c.slot, s.c.at, true);
  AttentionCall c = attention_call(s, flow_.slots[s.to], tile_, q, k, v);
  c.dropout = a_.pass.training.dropout[index];
  c.first_text = a_.pass.training.text[a_.pass.training.first_text];
  AttentionGradients g;
  g.dout = dy.data;
  g.lddo = dy.ld;
  g.dq = dq.data;
  g.dk = dk.data;
  g.dv = dv.data;
  g.lddq = dq.ld;
  g.lddkv = dk.ld;
  a_.backward.attention_backward(c, g, rest_);
}

void Walk::activate(size_t index) {
  const Step& s = flow_.actions[index].step;
  const Place x = value(s.a), dy = gradient(s.to, 0);
  into(index, 0, [&](const Place& to) {
    a_.ops.activate_slope(s.activation, height_, s.a.width, x.view(), dy.view(), to.matrix());
  });
}

void Walk::multiply(size_t index) {
  const Step& s = flow_.actions[index].step;
  const Place a = value(s.a), b = value(s.b), dy = gradient(s.to, 0);
  into(index, 0, [&](const Place& to) { a_.ops.multiply(height_, s.a.width, dy.view(), b.view(), to.matrix()); });
  into(index, 1, [&](const Place& to) { a_.ops.multiply(height_, s.b.width, dy.view(), a.view(), to.matrix()); });
}

void Walk::drop(size_t index) {
  const Step& s = flow_.actions[index].step;
  const Place dy = gradient(s.to, 0);
  const Dropout& dropout = a_.pass.training.dropout[index];
  const FlowSlot& slot = flow_.slots[s.to];
  const TrainingView& t = a_.pass.training;
  const size_t row = row_of(slot) + top_;
  into(index, 0, [&](const Place& to) {
    a_.ops.gather(height_, s.a.width, dy.data, dy.ld, nullptr, to.data, to.ld);
    if (dropout.threshold)
      a_.backward.dropout(height_, s.a.width, dropout, (slot.selected ? t.text : t.token_text) + row,
                          (slot.selected ? t.text_position : t.token_position) + row, to.data, to.ld);
  });
}

void Walk::softcap(size_t index) {
  const Step& s = flow_.actions[index].step;
  const Place y = value({s.to, 0, s.a.width}), dy = gradient(s.to, 0);
  into(index, 0,
       [&](const Place& to) { a_.ops.softcap_slope(height_, s.a.width, s.softcap, y.view(), dy.view(), to.matrix()); });
}

// Rows that were taken out go back where they were; those that an addition reads are passed on at the end.
void Walk::gather(size_t index) {
  const Action& action = flow_.actions[index];
  const Operand& o = action.step.a;
  if (action.passes || !wanted(index, 0)) return;
  if (a_.plan.flowing[index][0].clear) clear(o.slot, true);
  const Place dy = gradient(action.step.to, 0, true), to = gradient(o.slot, o.at, true);
  a_.ops.scatter_add(tile_.texts, o.width, dy.view(), tile_.rows, to.matrix());
}

}  // namespace warp
