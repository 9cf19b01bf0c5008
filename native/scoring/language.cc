#include "scoring/language.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

constexpr size_t kRows = 96;  // of logits that exist at a time, by worker

}  // namespace

LanguageSink::LanguageSink(const PassArguments& arguments, int threads)
    : a_(arguments), block_(kRows), texts_(arguments.texts.texts()),
      head_(make_flow(arguments.program.head, {false, true, true})),
      derived_(make_flow(arguments.program.head, {false, true, false})),
      source_(arguments.path, arguments.program.head.weights), point_(source_.allocate(arguments.ops)) {
  const size_t points = size_t(a_.path.points());
  loss_.assign(texts_ * (points + 2), 0.0);
  token_loss_.assign(a_.texts.ids.size() * 2, 0.0);
  const size_t hidden = a_.program.hidden, outputs = a_.program.outputs;
  size_t slots = head_.slot_floats(a_.ops, block_), rest = head_.rest_floats(a_.ops, 1, false), tangents = 0;
  if (a_.scope) {
    moves_ = WeightSource::in_scope(a_.program.head.weights, a_.scope->names);
    if (moves_) direction_ = source_.allocate_direction(a_.ops, a_.scope->names);
    slope_.assign(texts_ * points, 0.0);
    tangents = derived_.slot_floats(a_.ops, block_);
    slots = std::max(slots, tangents);
    rest = std::max(rest, derived_.rest_floats(a_.ops, 1, true));
  }
  for (int i = 0; i < threads; i++) {
    Worker w;
    w.rows = Buffer<float>(block_ * hidden);
    w.logits = Buffer<float>(block_ * outputs);
    if (a_.scope) w.changes = Buffer<float>(block_ * hidden);
    if (a_.scope) w.slopes = Buffer<float>(block_ * outputs);
    w.slots = Buffer<float>(slots);
    w.tangents = Buffer<float>(tangents);
    w.rest = Buffer<float>(rest);
    workers_.push_back(std::move(w));
  }
}

uint64_t LanguageSink::planned_bytes(const PassArguments& a, int threads) {
  const BlockWeights& weights = a.program.head.weights;
  const Flow head = make_flow(a.program.head, {false, true, true}),
             derived = make_flow(a.program.head, {false, true, false});
  const uint64_t directions = a.scope && WeightSource::in_scope(weights, a.scope->names) ? 1 : 0,
                 copies = a.scope ? 2 : 1;
  const uint64_t slots = std::max(head.slot_floats(a.ops, kRows), a.scope ? 2 * derived.slot_floats(a.ops, kRows) : 0);
  const uint64_t rest = std::max(head.rest_floats(a.ops, 1, false), a.scope ? derived.rest_floats(a.ops, 1, true) : 0);
  const uint64_t worker = copies * kRows * (a.program.hidden + a.program.outputs) + slots + rest;
  const uint64_t points = uint64_t(a.path.points()) + 2;
  return WeightSource::stored_bytes(a.path, weights) + (1 + directions) * WeightSource::point_bytes(a.ops, weights) +
         uint64_t(threads) * worker * sizeof(float) + 16 * points * a.texts.texts() + 16 * a.texts.ids.size();
}

void LanguageSink::begin(int p, Threads& threads, bool first_chunk) {
  source_.form(a_.ops, threads, p - 1, point_);
  if (!moves_ || p == 0 || p > a_.path.points()) return;
  source_.form_direction(a_.ops, threads, p - 1, a_.scope->names, direction_);
  if (first_chunk) a_.scope->norm2[size_t(p - 1)] += norm2(direction_);
}

void LanguageSink::take(int p, const Tile& tile, float* x, float* dx, int worker) {
  const size_t first = a_.texts.offsets[tile.first_text];
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < tile.tokens(); row++) {
    if (a_.texts.targets[first + row] == kNoTarget) continue;
    rows.push_back(row);
    if (rows.size() < block_) continue;
    block(p, tile, rows, x, dx, workers_[size_t(worker)]);
    rows.clear();
  }
  if (!rows.empty()) block(p, tile, rows, x, dx, workers_[size_t(worker)]);
}

void LanguageSink::block(int p, const Tile& tile, const std::vector<uint32_t>& rows, float* x, float* dx, Worker& w) {
  const size_t count = rows.size(), h = a_.program.hidden, v = a_.program.outputs, points = size_t(a_.path.points());
  const size_t first = a_.texts.offsets[tile.first_text];
  const RowTile one(count);
  std::vector<uint32_t> targets(count);
  for (size_t i = 0; i < count; i++) targets[i] = a_.texts.targets[first + rows[i]];
  a_.ops.gather(count, h, x, h, rows.data(), w.rows.data(), h);
  const bool derive = a_.scope && p > 0 && size_t(p) <= points && (dx || moves_);
  const RunArguments run = {a_.ops,        derive ? derived_ : head_, point_,         no_ropes_,    one.view(),
                            w.rows.data(), w.logits.data(),           w.slots.data(), w.rest.data()};
  if (derive) {
    if (dx) a_.ops.gather(count, h, dx, h, rows.data(), w.changes.data(), h);
    run_tangent(run,
                {moves_ ? &direction_ : nullptr, dx != nullptr, w.changes.data(), w.slopes.data(), w.tangents.data()});
  } else {
    run_flow(run);
  }
  std::vector<double> loss(count), dots(count);
  a_.ops.cross_entropy(count, v, ConstMatrix{w.logits.data(), v}, targets.data(), loss.data(), 1.0f,
                       derive ? Matrix{w.logits.data(), v} : Matrix{nullptr, 0});
  if (derive) a_.ops.row_dots(count, v, ConstMatrix{w.logits.data(), v}, ConstMatrix{w.slopes.data(), v}, dots.data());
  size_t text = 0;
  for (size_t i = 0; i < count; i++) {
    while (rows[i] >= tile.offsets[text + 1]) text++;
    const size_t at = tile.first_text + text;
    if (!std::isfinite(loss[i])) throw loss_not_finite(at);
    loss_[at * (points + 2) + size_t(p)] += loss[i];
    if (derive) slope_[at * points + size_t(p - 1)] += dots[i];
    if (p == 0) token_loss_[(first + rows[i]) * 2] = loss[i];
    if (size_t(p) == points + 1) token_loss_[(first + rows[i]) * 2 + 1] = loss[i];
  }
}

std::vector<double> LanguageSink::alignment() const { return scores_along(slope_, *a_.scope, a_.path); }

}  // namespace warp
