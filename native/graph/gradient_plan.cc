#include "graph/gradient_plan.h"

#include <algorithm>

#include "core/error.h"
#include "graph/intervals.h"

namespace warp {
namespace {

class Planner {
 public:
  Planner(GradientPlan& plan, const Flow& flow)
      : plan_(plan), flow_(flow), count_(flow.slots.size()), end_(flow.actions.size()) {}

  void make() {
    plan_.again.assign(count_, -1);
    for (uint32_t slot = 0; slot < count_; slot++)
      if (flow_.slots[slot].again) {
        plan_.again[slot] = int(plan_.shared.size());
        plan_.shared.push_back(slot);
      }
    if (flow_.slots[flow_.output].needed) throw internal_error("flow: a derivative reads the block's output");
    order();
    place();
  }

 private:
  static size_t operand_count(const Step& s) { return s.c.width > 0 ? 3 : s.b.width > 0 ? 2 : 1; }
  static const Operand& operand(const Step& s, size_t i) { return i == 0 ? s.a : i == 1 ? s.b : s.c; }
  bool whole(const Operand& o) const { return o.at == 0 && o.width == flow_.slots[o.slot].width; }

  // From behind: who writes first, who adds, what is passed on at the end.
  void order() {
    plan_.flowing.resize(end_);
    plan_.passed.resize(count_);
    plan_.computed.assign(count_, false);
    std::vector<std::vector<std::pair<size_t, size_t>>> written(count_);  // columns
    std::vector<std::pair<size_t, size_t>> first(count_, {end_, 0});      // action and operand that begin a slot's
    std::vector<bool> scattered(count_, false);
    for (size_t i = end_; i-- > 0;) {
      const Action& action = flow_.actions[i];
      plan_.flowing[i].resize(3);
      for (size_t n = 0; n < operand_count(action.step); n++) {
        const Operand& o = operand(action.step, n);
        GradientPlan::Flowing& f = plan_.flowing[i][n];
        f.wanted = true;
        const bool passes = (action.step.kind == StepKind::kAdd && !action.gather) || action.passes;
        if (passes) {
          if (!whole(o)) throw internal_error("flow: an addition reads some columns of a slot");
          plan_.passed[o.slot].push_back({action.step.to, action.gather});
          continue;
        }
        if (!plan_.computed[o.slot]) {
          first[o.slot] = {i, n};
          scattered[o.slot] = action.gather;
        }
        plan_.computed[o.slot] = true;
        if (action.gather) continue;
        f.first = std::none_of(written[o.slot].begin(), written[o.slot].end(),
                               [&](const auto& span) { return o.at < span.second && span.first < o.at + o.width; });
        if (f.first) written[o.slot].push_back({o.at, o.at + o.width});
      }
    }
    for (uint32_t slot = 0; slot < count_; slot++) {
      if (!plan_.computed[slot]) continue;
      size_t columns = 0;
      for (const auto& span : written[slot]) columns += span.second - span.first;
      if (columns == flow_.slots[slot].width && !scattered[slot]) continue;
      plan_.flowing[first[slot].first][first[slot].second].clear = true;
      for (size_t i = 0; i < end_; i++)
        for (size_t n = 0; n < operand_count(flow_.actions[i].step); n++)
          if (operand(flow_.actions[i].step, n).slot == slot) plan_.flowing[i][n].first = false;
    }
  }

  // Time runs backward: action i at end − 1 − i, the input is done at `end`.
  size_t time(size_t action) const { return end_ - 1 - action; }

  void place() {
    std::vector<size_t> begins(count_, size_t(-1)), ends(count_, 0), written(count_, size_t(-1));
    for (size_t i = 0; i < end_; i++) written[flow_.actions[i].step.to] = i;
    const auto done = [&](uint32_t slot) { return slot == 0 ? end_ : time(written[slot]); };
    for (size_t i = end_; i-- > 0;)
      for (size_t n = 0; n < operand_count(flow_.actions[i].step); n++) {
        const uint32_t slot = operand(flow_.actions[i].step, n).slot;
        const bool direct =
            (flow_.actions[i].step.kind != StepKind::kAdd || flow_.actions[i].gather) && !flow_.actions[i].passes;
        if (direct) begins[slot] = std::min(begins[slot], time(i));
      }
    for (uint32_t slot = 0; slot < count_; slot++) {
      if (begins[slot] == size_t(-1)) begins[slot] = done(slot);
      ends[slot] = std::max(ends[slot], done(slot));
      for (const GradientPlan::Passed& p : plan_.passed[slot]) ends[p.from] = std::max(ends[p.from], done(slot));
    }
    plan_.gradient.resize(count_);
    plan_.gradient[0].kind = GradientPlan::kInput;
    Intervals tile, block;
    for (size_t i = end_; i-- > 0;) {
      const Step& s = flow_.actions[i].step;
      GradientPlan::Place& place = plan_.gradient[s.to];
      if (s.to == flow_.output) {
        if (plan_.computed[s.to] || !plan_.passed[s.to].empty())
          throw internal_error("flow: the output is read inside of the block");
        place.kind = GradientPlan::kOutput;
      } else if (s.kind == StepKind::kLinear && !flow_.actions[i].gather) {
        place = {GradientPlan::kShared, plan_.shared.size()};
        plan_.shared.push_back(s.to);
      } else {
        const Piece& from = piece_at(begins[s.to]);
        const bool near = ends[s.to] < end_ && !from.whole && &from == &piece_at(ends[s.to]);
        place.kind = near ? GradientPlan::kBlock : GradientPlan::kTile;
        const size_t width = flow_.slots[s.to].width;
        place.at = near ? block.add({begins[s.to], ends[s.to]}, width)
                        : tile.add(whole_pieces(begins[s.to], ends[s.to]), width);
      }
    }
    plan_.tile_floats = tile.size();
    plan_.block_floats = block.size();
  }

  const Piece& piece_at(size_t when) const {
    const size_t action = end_ - 1 - when;
    for (const Piece& piece : flow_.pieces)
      if (action < piece.end) return piece;
    throw internal_error("flow: no piece");
  }
  Intervals::Span whole_pieces(size_t begin, size_t last) const {
    return {time(piece_at(begin).end - 1), last >= end_ ? end_ : time(piece_at(last).first)};
  }

  GradientPlan& plan_;
  const Flow& flow_;
  const size_t count_, end_;
};

}  // namespace

void GradientPlan::make(const Flow& flow) { Planner(*this, flow).make(); }

}  // namespace warp
