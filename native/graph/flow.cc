#include "graph/flow.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "graph/intervals.h"

namespace warp {
namespace {

struct Storage {
  Where where;
  size_t width, first, last;  // actions between which it is in use, both included
  size_t at = 0;
};

bool row_wise(const Action& action) {
  switch (action.step.kind) {
    case StepKind::kNorm:
    case StepKind::kRope:
    case StepKind::kActivate:
    case StepKind::kMultiply:
    case StepKind::kAdd:
    case StepKind::kDrop:
    case StepKind::kSoftcap: return !action.gather;
    default: return false;
  }
}

class Maker {
 public:
  Maker(const Block& block, const FlowOptions& options) : block_(block), options_(options) {
    if (options_.training) options_.separate = true;
    if (options_.training) options_.fuse = false;
  }

  Flow make() {
    flow_.weights = &block_.weights;
    flow_.in_place = !options_.separate;
    rename_drops();
    find_needs();
    emit();
    if (options_.fuse) fuse();
    cut();
    if (options_.training) mark_needed();
    place();
    return std::move(flow_);
  }

 private:
  // Dropout is the identity here.
  void rename_drops() {
    name_.resize(block_.widths.size());
    for (uint32_t i = 0; i < name_.size(); i++) name_[i] = i;
    for (const Step& step : block_.steps)
      if (step.kind == StepKind::kDrop && !options_.training) name_[step.to] = name_[step.a.slot];
    output_ = name_[block_.output];
  }

  void find_needs() {
    wanted_.assign(block_.widths.size(), false);
    all_.assign(block_.widths.size(), false);
    wanted_[output_] = true;
    all_[output_] = !options_.selected;
    for (size_t i = block_.steps.size(); i-- > 0;) {
      const Step& step = block_.steps[i];
      if (name_[step.to] != step.to || !wanted_[step.to]) continue;
      for (const Operand* o : {&step.a, &step.b, &step.c}) {
        if (o->width == 0) continue;
        wanted_[name_[o->slot]] = true;
        if (all_[step.to] || (step.kind == StepKind::kAttention && o != &step.a)) all_[name_[o->slot]] = true;
      }
    }
    all_[0] = true;  // the input has every row
  }

  void emit() {
    slot_.assign(block_.widths.size(), 0);
    flow_.slots.push_back({block_.widths[0], false});
    for (const Step& step : block_.steps) {
      if (name_[step.to] != step.to || !wanted_[step.to]) continue;
      const bool selected = !all_[step.to];
      Action action{step, false, false};
      for (Operand* o : {&action.step.a, &action.step.b, &action.step.c}) {
        if (o->width == 0) continue;
        const bool keys = step.kind == StepKind::kAttention && o != &action.step.a;
        const uint32_t from = name_[o->slot];
        o->slot = selected && !keys && all_[from] ? gathered(from, step.kind == StepKind::kAdd) : slot_[from];
      }
      slot_[step.to] = add_slot(block_.widths[step.to], selected);
      action.step.to = slot_[step.to];
      flow_.actions.push_back(action);
    }
    flow_.output = options_.selected && all_[output_] ? gathered(output_, false) : slot_[output_];
  }

  uint32_t add_slot(uint32_t width, bool selected) {
    flow_.slots.push_back({width, selected});
    return uint32_t(flow_.slots.size() - 1);
  }

  // In training each use has its own: gradients are added in the order of uses, those of additions last.
  uint32_t gathered(uint32_t slot, bool passes) {
    const auto found = gathered_.find(slot);
    if (found != gathered_.end() && !options_.training) return found->second;
    Action action;
    action.gather = true;
    action.passes = passes;
    action.step.a = {slot_[slot], 0, block_.widths[slot]};
    action.step.to = gathered_[slot] = add_slot(block_.widths[slot], true);
    flow_.actions.push_back(action);
    return action.step.to;
  }

  size_t uses(uint32_t slot) const {
    size_t count = slot == flow_.output;
    for (const Action& action : flow_.actions)
      for (const Operand& o : {action.step.a, action.step.b, action.step.c}) count += o.width > 0 && o.slot == slot;
    return count;
  }

  void fuse() {
    std::vector<Action> kept;
    for (const Action& next : flow_.actions) {
      Action* last = kept.empty() ? nullptr : &kept.back();
      const bool follows = last && !last->gather && !next.gather && next.step.a.slot == last->step.to &&
                           next.step.a.at == 0 && next.step.a.width == flow_.slots[last->step.to].width &&
                           uses(last->step.to) == 1;
      if (follows && last->step.kind == StepKind::kLinear && last->step.activation == Activation::kNone &&
          next.step.kind == StepKind::kActivate) {
        last->step.activation = next.step.activation;
        last->step.to = next.step.to;
      } else if (follows && last->step.kind == StepKind::kAdd && next.step.kind == StepKind::kNorm &&
                 next.step.center && next.step.groups == 1 && next.step.offset == 0 && next.step.bias >= 0) {
        const Operand a = last->step.a, b = last->step.b;
        *last = next;
        last->step.a = a;
        last->step.b = b;
        last->residual = true;
      } else {
        kept.push_back(next);
      }
    }
    flow_.actions = std::move(kept);
  }

  void cut() {
    for (size_t i = 0; i < flow_.actions.size(); i++) {
      const Action& action = flow_.actions[i];
      const bool selected = flow_.slots[action.step.to].selected,
                 whole = action.gather || action.step.kind == StepKind::kAttention;
      Piece* last = flow_.pieces.empty() ? nullptr : &flow_.pieces.back();
      if (!last || whole || last->whole || last->selected != selected) flow_.pieces.push_back({i, i, selected, whole});
      flow_.pieces.back().end = i + 1;
    }
  }

  const Piece& piece_of(size_t action) const {
    for (const Piece& piece : flow_.pieces)
      if (action < piece.end) return piece;
    throw internal_error("flow: no piece");
  }

  // Where a slot in use from action `first` to `last` may lie: within one piece a block of rows does.
  Where place_for(size_t first, size_t last) const {
    const Piece& piece = piece_of(first);
    return last < piece.end && !piece.whole ? Where::kBlock : Where::kTile;
  }

  // What derivatives read. Cheap results are computed again instead of saved.
  void mark_needed() {
    std::vector<bool> cheap(flow_.slots.size(), false);
    for (const Action& action : flow_.actions) {
      const Step& s = action.step;
      cheap[s.to] =
          action.gather || s.kind == StepKind::kNorm || s.kind == StepKind::kActivate || s.kind == StepKind::kMultiply;
      const auto need = [&](const Operand& o) { flow_.slots[o.slot].needed = true; };
      if (action.gather || s.kind == StepKind::kAdd || s.kind == StepKind::kDrop || s.kind == StepKind::kRope) continue;
      if (s.kind == StepKind::kSoftcap) {
        flow_.slots[s.to].needed = true;
        continue;
      }
      need(s.a);
      if (s.kind == StepKind::kMultiply || s.kind == StepKind::kAttention) need(s.b);
      if (s.kind == StepKind::kAttention) need(s.c);
    }
    for (size_t i = flow_.actions.size(); i-- > 0;) {  // what is computed again needs its operands
      const Action& action = flow_.actions[i];
      FlowSlot& to = flow_.slots[action.step.to];
      if (!to.needed || !cheap[action.step.to] || action.step.to == flow_.output) continue;
      to.again = true;
      for (const Operand& o : {action.step.a, action.step.b})
        if (o.width > 0) flow_.slots[o.slot].needed = true;
    }
    for (uint32_t slot = 1; slot < flow_.slots.size(); slot++) {
      if (!flow_.slots[slot].needed || flow_.slots[slot].again || slot == flow_.output) continue;
      flow_.slots[slot].at = flow_.saved.size();
      flow_.saved.push_back(slot);
    }
  }

  // In training: what is saved lies at its own place, and what an element-wise step makes it from, there too.
  std::map<uint32_t, uint32_t> destinations() const {
    std::map<uint32_t, uint32_t> to;
    for (uint32_t slot : flow_.saved) to[slot] = slot;
    if (options_.training) to[flow_.output] = flow_.output;
    for (size_t i = flow_.actions.size(); i-- > 0;) {
      const Action& action = flow_.actions[i];
      const Operand& a = action.step.a;
      const FlowSlot &from = flow_.slots[a.slot], &slot = flow_.slots[action.step.to];
      const bool same = a.at == 0 && from.width == slot.width && from.selected == slot.selected;
      if (!options_.training || !row_wise(action) || !same || a.slot == 0 || uses(a.slot) > 1 || to.count(a.slot))
        continue;
      if (to.count(action.step.to)) to[a.slot] = to[action.step.to];
    }
    return to;
  }

  void place() {
    const size_t count = flow_.slots.size(), never = size_t(-1);
    std::vector<size_t> written(count, never), read(count, never);
    for (size_t i = 0; i < flow_.actions.size(); i++) {
      written[flow_.actions[i].step.to] = i;
      for (const Operand& o : {flow_.actions[i].step.a, flow_.actions[i].step.b, flow_.actions[i].step.c})
        if (o.width > 0) read[o.slot] = i;
    }
    const size_t end = flow_.actions.size();
    read[flow_.output] = end;
    std::vector<Storage> storages;
    std::vector<size_t> storage(count, never);
    storages.push_back({Where::kInput, flow_.slots[0].width, 0, read[0] == never ? 0 : read[0]});
    storage[0] = 0;
    const std::map<uint32_t, uint32_t> destination = destinations();
    std::map<uint32_t, size_t> made;  // storages of destinations
    for (size_t i = 0; i < end; i++) {
      const Action& action = flow_.actions[i];
      const uint32_t to = action.step.to;
      const size_t last = read[to] == never ? i : read[to];
      const auto found = destination.find(to);
      if (found != destination.end()) {
        if (!made.count(found->second)) {
          const bool out = found->second == flow_.output;
          storages.push_back(
              {out ? Where::kOutput : Where::kSaved, flow_.slots[to].width, i, end, flow_.slots[found->second].at});
          made[found->second] = storages.size() - 1;
        }
        storage[to] = made[found->second];
        continue;
      }
      if (to == flow_.output && options_.separate) {
        storages.push_back({Where::kOutput, flow_.slots[to].width, i, last});
        storage[to] = storages.size() - 1;
        continue;
      }
      const Where where = last == end ? Where::kTile : place_for(i, last);
      size_t taken = alias(action, i, where, read, storage, storages);
      if (taken == never && to == flow_.output && input_is_free(i, storages[0])) taken = 0;
      if (taken == never) {
        storages.push_back({where, flow_.slots[to].width, i, last});
        taken = storages.size() - 1;
      }
      storages[taken].last = std::max(storages[taken].last, last);
      storage[to] = taken;
    }
    flow_.copy_output = storages[storage[flow_.output]].where != (options_.separate ? Where::kOutput : Where::kInput);
    flow_.tile_floats = fit(storages, Where::kTile);
    flow_.block_floats = fit(storages, Where::kBlock);
    for (size_t s = 0; s < count; s++) {
      if (storage[s] == never) continue;  // nobody's
      flow_.slots[s].where = storages[storage[s]].where;
      flow_.slots[s].at = storages[storage[s]].at;
    }
  }

  // The storage of an operand that this action reads last and may overwrite.
  size_t alias(const Action& action, size_t i, Where where, const std::vector<size_t>& read,
               const std::vector<size_t>& storage, const std::vector<Storage>& storages) const {
    const size_t never = size_t(-1);
    if (!row_wise(action)) return never;
    const FlowSlot& to = flow_.slots[action.step.to];
    for (const Operand& o : {action.step.b, action.step.a}) {
      if (o.width == 0 || read[o.slot] != i) continue;
      const FlowSlot& from = flow_.slots[o.slot];
      if (o.at != 0 || from.width != to.width || from.selected != to.selected) continue;
      const Storage& s = storages[storage[o.slot]];
      if (s.last != i || s.where == Where::kSaved || (s.where == Where::kInput && options_.separate)) continue;
      if (s.where == Where::kBlock && where != Where::kBlock) continue;
      return storage[o.slot];
    }
    return never;
  }

  // Whether action i may write its output over the input: nobody reads there any more, at most the same rows just now.
  bool input_is_free(size_t i, const Storage& input) const {
    const Piece& piece = piece_of(i);
    if (input.last < piece.first) return true;
    return !piece.whole && !piece.selected && input.last < i;
  }

  // First fit; a tile's storage is taken for whole pieces. Returns what all need together.
  size_t fit(std::vector<Storage>& storages, Where where) const {
    Intervals columns;
    for (Storage& s : storages) {
      if (s.where != where) continue;
      Intervals::Span when{s.first, s.last};
      if (where == Where::kTile)
        when = {piece_of(s.first).first, s.last >= flow_.actions.size() ? s.last : piece_of(s.last).end - 1};
      s.at = columns.add(when, s.width);
    }
    return columns.size();
  }

  const Block& block_;
  FlowOptions options_;
  Flow flow_;
  std::vector<uint32_t> name_, slot_;
  std::vector<bool> wanted_, all_;
  std::map<uint32_t, uint32_t> gathered_;
  uint32_t output_ = 0;
};

}  // namespace

Flow make_flow(const Block& block, const FlowOptions& options) { return Maker(block, options).make(); }

size_t Flow::slot_floats(const Ops& ops, size_t tokens) const {
  return tile_floats * tokens + block_floats * std::min(tokens, ops.block_rows());
}

size_t Flow::rest_floats(const Ops& ops, size_t longest, bool tangents) const {
  size_t most = 0;
  for (const Action& action : actions) {
    const Step& s = action.step;
    if (s.kind == StepKind::kLinear && !action.gather) most = std::max(most, ops.linear_scratch(s.a.width / s.groups));
    if (s.kind != StepKind::kAttention) continue;
    most = std::max(most, ops.attention_scratch(longest, s.head_size));
    if (tangents) most = std::max(most, ops.attention_tangent_scratch(longest, s.head_size));
  }
  return most + (tangents ? widest_linear() * ops.block_rows() : 0);
}

size_t Flow::widest_linear() const {
  size_t widest = 0;
  for (const Action& action : actions)
    if (action.step.kind == StepKind::kLinear && !action.gather)
      widest = std::max<size_t>(widest, slots[action.step.to].width);
  return widest;
}

}  // namespace warp
