#include "graph/run.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "graph/calls.h"

namespace warp {
namespace {

class Runner {
 public:
  Runner(const RunArguments& a, const TangentArguments* t)
      : a_(a), t_(t), flow_(a.flow), moves_(flow_.slots.size(), false) {
    if (t) moves_[0] = t->moving;
  }

  bool run() {
    for (const Piece& piece : flow_.pieces) {
      const size_t rows = piece.selected ? a_.tile.texts : a_.tile.tokens,
                   block = piece.whole ? rows : a_.ops.block_rows();
      for (size_t top = 0; top < rows; top += block) {
        top_ = top;
        height_ = std::min(block, rows - top);
        for (size_t i = piece.first; i < piece.end; i++) act(flow_.actions[index_ = i]);
      }
    }
    finish();
    return moves_[flow_.output];
  }

 private:
  // Rows from the block's first on, or with `whole` from the tile's first.
  Place place(uint32_t slot, size_t at, bool tangent, bool whole = false) const {
    const FlowSlot& s = flow_.slots[slot];
    const size_t ld = s.width, top = whole ? 0 : top_;
    float* slots = tangent ? t_->slots : a_.slots;
    switch (s.where) {
      case Where::kInput: return {(tangent ? t_->input : a_.input) + top * ld + at, ld};
      case Where::kOutput: return {(tangent ? t_->output : a_.output) + top * ld + at, ld};
      case Where::kSaved: {
        const size_t first = s.selected ? a_.training->first_text : a_.training->first_token;
        return {a_.training->saved[s.at] + (first + top) * ld + at, ld};
      }
      case Where::kTile: return {slots + s.at * a_.tile.tokens + top * ld + at, ld};
      default:
        return {slots + flow_.tile_floats * a_.tile.tokens + s.at * std::min(a_.tile.tokens, a_.ops.block_rows()) + at,
                ld};
    }
  }
  Place value(const Operand& o, bool whole = false) const { return place(o.slot, o.at, false, whole); }
  Place tangent(const Operand& o, bool whole = false) const { return place(o.slot, o.at, true, whole); }
  bool moves(const Operand& o) const { return o.width > 0 && moves_[o.slot]; }

  void act(const Action& action) {
    const Step& s = action.step;
    const Place to = place(s.to, 0, false);
    const size_t width = flow_.slots[s.to].width;
    if (action.gather) return gather(s, width);
    switch (s.kind) {
      case StepKind::kLinear: return linear(s, to, width);
      case StepKind::kNorm: return norm(action, to, width);
      case StepKind::kRope: return rope(s, to);
      case StepKind::kAttention: return attention(s);
      case StepKind::kActivate: return activate(s, to, width);
      case StepKind::kMultiply: return multiply(s, to, width);
      case StepKind::kAdd: return add(s, width);
      case StepKind::kSoftcap: return softcap(s, to, width);
      case StepKind::kDrop: return drop(s, to, width);
    }
  }

  void gather(const Step& s, size_t width) {
    const auto copy = [&](const Place& from, const Place& to) {
      a_.ops.gather(a_.tile.texts, width, from.data, from.ld, a_.tile.rows, to.data, to.ld);
    };
    copy(value(s.a, true), place(s.to, 0, false, true));
    moves_[s.to] = moves(s.a);
    if (moves_[s.to]) copy(tangent(s.a, true), place(s.to, 0, true, true));
  }

  void linear(const Step& s, const Place& to, size_t width) {
    const Place x = value(s.a);
    if (t_) linear_tangent(s, x, width);
    const size_t inputs = s.a.width / s.groups, outputs = width / s.groups;
    for (size_t group = 0; group < s.groups; group++) {
      const size_t at = size_t(s.linear) + group;
      a_.ops.linear(height_, outputs, inputs, x.data + group * inputs, x.ld, a_.weights.packed[at], a_.weights.bias[at],
                    s.activation, to.data + group * outputs, to.ld, a_.rest);
    }
  }

  // ẏ = ẋ Wᵀ + x Ẇᵀ + ḃ
  void linear_tangent(const Step& s, const Place& x, size_t width) {
    const size_t at = size_t(s.linear);
    const float* weight = t_->direction ? t_->direction->packed[at] : nullptr;
    const float* bias = t_->direction ? t_->direction->bias[at] : nullptr;
    moves_[s.to] = moves(s.a) || weight || bias;
    if (!moves_[s.to]) return;
    const Place to = place(s.to, 0, true);
    const Ops& ops = a_.ops;
    const auto product = [&](const Place& from, const float* packed, const float* b, const Place& y) {
      ops.linear(height_, width, s.a.width, from.data, from.ld, packed, b, Activation::kNone, y.data, y.ld,
                 scratch_after(width));
    };
    if (moves(s.a)) product(tangent(s.a), a_.weights.packed[at], bias, to);
    if (weight && moves(s.a)) {
      const Place other = {a_.rest, width};
      product(x, weight, nullptr, other);
      ops.add(height_, width, other.data, other.ld, to.data, to.ld);
    } else if (weight) {
      product(x, weight, bias, to);
    } else if (!moves(s.a)) {  // only the bias moves, the same in every row
      ops.gather(height_, width, bias, 0, nullptr, to.data, to.ld);
    }
  }
  float* scratch_after(size_t width) const { return a_.rest + width * a_.ops.block_rows(); }

  void norm(const Action& action, const Place& to, size_t width) {
    const Step& s = action.step;
    const Place x = value(s.a);
    const float *gain = a_.weights.vectors[size_t(s.gain)],
                *bias = s.bias < 0 ? nullptr : a_.weights.vectors[size_t(s.bias)];
    if (action.residual || is_layer_norm(s)) {
      const Place r = action.residual ? value(s.b) : Place{nullptr, 0};
      if (t_) norm_tangent(s, x, width);
      return a_.ops.layer_norm(height_, width, x.data, x.ld, r.data, r.ld, gain, bias, s.epsilon, to.data, to.ld);
    }
    if (t_) norm_tangent(s, x, width);
    a_.ops.norm(norm_call(s, height_, width, a_.weights), x.data, x.ld, to.data, to.ld);
  }

  void norm_tangent(const Step& s, const Place& x, size_t width) {
    const auto direction = [&](int v) { return t_->direction && v >= 0 ? t_->direction->vectors[size_t(v)] : nullptr; };
    NormTangent n{};
    n.gain = direction(s.gain);
    n.bias = direction(s.bias);
    moves_[s.to] = moves(s.a) || n.gain || n.bias;
    if (!moves_[s.to]) return;
    n.x = x.data;
    n.ldx = x.ld;
    if (moves(s.a)) {
      const Place dx = tangent(s.a);
      n.dx = dx.data;
      n.lddx = dx.ld;
    }
    const Place to = place(s.to, 0, true);
    a_.ops.norm_tangent(norm_call(s, height_, width, a_.weights), n, to.data, to.ld);
  }

  void rope(const Step& s, const Place& to) {
    const RopeCall c = rope_call(s, flow_.slots[s.to], a_.tile, a_.ropes[size_t(s.rope)], top_, height_);
    moves_[s.to] = moves(s.a);
    if (moves_[s.to]) {
      const Place dx = tangent(s.a), dy = place(s.to, 0, true);
      a_.ops.rope(c, dx.data, dx.ld, dy.data, dy.ld);
    }
    const Place x = value(s.a);
    a_.ops.rope(c, x.data, x.ld, to.data, to.ld);
  }

  void attention(const Step& s) {
    const Place q = value(s.a, true), k = value(s.b, true), v = value(s.c, true), to = place(s.to, 0, false, true);
    AttentionCall c = attention_call(s, flow_.slots[s.to], a_.tile, q, k, v);
    if (a_.cache) {
      keep(k, v, s.kv_heads * s.head_size);
      if (a_.cache->step) return attention_step(s, q, to);
    }
    if (a_.training) {
      c.dropout = a_.training->dropout[index_];
      c.first_text = a_.training->text[a_.training->first_text];
    }
    moves_[s.to] = moves(s.a) || moves(s.b) || moves(s.c);
    if (moves_[s.to]) {
      AttentionTangents t;
      const auto of = [&](const Operand& o) { return moves(o) ? tangent(o, true).data : nullptr; };
      t.q = of(s.a);
      t.k = of(s.b);
      t.v = of(s.c);
      t.ldq = q.ld;
      t.ldkv = k.ld;
      const Place dy = place(s.to, 0, true, true);
      t.out = dy.data;
      t.ldo = dy.ld;
      a_.ops.attention_tangent(c, t, a_.rest);
    }
    a_.ops.attention(c, to.data, to.ld, a_.rest);
  }

  // The tile's keys and values, each at its position.
  void keep(const Place& k, const Place& v, size_t width) const {
    for (size_t text = 0; text < a_.tile.texts; text++)
      for (size_t row = a_.tile.offsets[text]; row < a_.tile.offsets[text + 1]; row++) {
        const size_t at = a_.tile.positions[row] * a_.cache->ld;
        std::copy_n(k.data + row * k.ld, width, a_.cache->keys[text] + at);
        std::copy_n(v.data + row * v.ld, width, a_.cache->values[text] + at);
      }
  }

  void attention_step(const Step& s, const Place& q, const Place& to) const {
    StepCall c;
    c.rows = a_.tile.texts;
    c.heads = s.heads;
    c.kv_heads = s.kv_heads;
    c.head_size = s.head_size;
    c.window = s.window;
    c.scale = s.scale;
    c.softcap = s.softcap;
    c.q = q.data;
    c.ldq = q.ld;
    c.keys = a_.cache->keys;
    c.values = a_.cache->values;
    c.ld = a_.cache->ld;
    c.positions = a_.tile.positions;
    a_.cache->ops.attention(c, to.data, to.ld, a_.rest);
  }

  void activate(const Step& s, const Place& to, size_t width) {
    const Place x = value(s.a);
    moves_[s.to] = moves(s.a);
    if (moves_[s.to])
      a_.ops.activate_slope(s.activation, height_, width, x.view(), tangent(s.a).view(), place(s.to, 0, true).matrix());
    a_.ops.activate(s.activation, height_, width, x.data, x.ld, to.data, to.ld);
  }

  // The first product must not overwrite what the second one reads: ẏ may lie where ȧ or ḃ did.
  void multiply(const Step& s, const Place& to, size_t width) {
    const Place a = value(s.a), b = value(s.b);
    moves_[s.to] = moves(s.a) || moves(s.b);
    if (moves_[s.to]) {
      const Place dy = place(s.to, 0, true);
      const bool second_first = moves(s.b) && tangent(s.b).data == dy.data;
      const Operand &one = second_first || !moves(s.a) ? s.b : s.a, &two = &one == &s.a ? s.b : s.a;
      a_.ops.multiply(height_, width, tangent(one).view(), (&one == &s.a ? b : a).view(), dy.matrix());
      if (moves(two))
        a_.ops.multiply_add(height_, width, tangent(two).view(), (&two == &s.a ? b : a).view(), dy.matrix());
    }
    a_.ops.multiply(height_, width, a.view(), b.view(), to.matrix());
  }

  void add(const Step& s, size_t width) {
    sum(width, value(s.a), value(s.b), place(s.to, 0, false));
    moves_[s.to] = moves(s.a) || moves(s.b);
    if (!moves_[s.to]) return;
    const Place to = place(s.to, 0, true);
    if (moves(s.a) && moves(s.b)) return sum(width, tangent(s.a), tangent(s.b), to);
    const Place from = tangent(moves(s.a) ? s.a : s.b);
    if (from.data != to.data) a_.ops.gather(height_, width, from.data, from.ld, nullptr, to.data, to.ld);
  }

  void sum(size_t width, const Place& a, const Place& b, const Place& to) const {
    if (to.data == a.data) return a_.ops.add(height_, width, b.data, b.ld, to.data, to.ld);
    if (to.data != b.data) a_.ops.gather(height_, width, b.data, b.ld, nullptr, to.data, to.ld);
    a_.ops.add(height_, width, a.data, a.ld, to.data, to.ld);
  }

  void drop(const Step& s, const Place& to, size_t width) {
    const Place x = value(s.a);
    if (to.data != x.data) a_.ops.gather(height_, width, x.data, x.ld, nullptr, to.data, to.ld);
    const TrainingView& t = *a_.training;
    const Dropout& dropout = t.dropout[index_];
    if (dropout.threshold == 0) return;
    const bool selected = flow_.slots[s.to].selected;
    const size_t row = (selected ? t.first_text : t.first_token) + top_;
    t.backward.dropout(height_, width, dropout, (selected ? t.text : t.token_text) + row,
                       (selected ? t.text_position : t.token_position) + row, to.data, to.ld);
  }

  void softcap(const Step& s, const Place& to, size_t width) {
    a_.ops.softcap(height_, width, s.softcap, value(s.a).view(), to.matrix());
    moves_[s.to] = moves(s.a);
    if (moves_[s.to])
      a_.ops.softcap_slope(height_, width, s.softcap, to.view(), tangent(s.a).view(), place(s.to, 0, true).matrix());
  }

  void finish() {
    if (!flow_.copy_output) return;
    const FlowSlot& s = flow_.slots[flow_.output];
    const size_t rows = s.selected ? a_.tile.texts : a_.tile.tokens;
    const auto copy = [&](bool tangent, float* to) {
      const Place from = place(flow_.output, 0, tangent, true);
      if (from.data != to) a_.ops.gather(rows, s.width, from.data, from.ld, nullptr, to, s.width);
    };
    copy(false, flow_.in_place ? a_.input : a_.output);
    if (moves_[flow_.output]) copy(true, flow_.in_place ? t_->input : t_->output);
  }

  const RunArguments& a_;
  const TangentArguments* const t_;
  const Flow& flow_;
  std::vector<bool> moves_;  // by slot: whether its tangent is not zero
  size_t top_ = 0, height_ = 0, index_ = 0;
};

}  // namespace

void run_flow(const RunArguments& arguments) { Runner(arguments, nullptr).run(); }

bool run_tangent(const RunArguments& arguments, const TangentArguments& tangents) {
  return Runner(arguments, &tangents).run();
}

RowTile::RowTile(size_t rows) : each_(rows + 1), zeros_(rows, 0) { std::iota(each_.begin(), each_.end(), 0); }

Buffer<float> rope_values(const RopePlan& rope, size_t count) {
  const size_t half = rope.rotary / 2;
  Buffer<float> values(2 * count * half);
  for (size_t p = 0; p < count; p++)
    for (size_t j = 0; j < half; j++) {
      const double angle = double(p) * rope.frequency[j];
      values[p * half + j] = float(std::cos(angle));
      values[(count + p) * half + j] = float(std::sin(angle));
    }
  return values;
}

HostRopes::HostRopes(const Program& program, size_t positions) {
  for (const RopePlan& rope : program.ropes) {
    held_.push_back(rope_values(rope, positions));
    tables_.push_back({held_.back().data(), held_.back().data() + positions * (rope.rotary / 2)});
  }
}

uint64_t HostRopes::bytes(const Program& program, size_t positions) {
  uint64_t floats = 0;
  for (const RopePlan& rope : program.ropes) floats += positions * rope.rotary;
  return floats * sizeof(float);
}

}  // namespace warp
