#include "scoring/classify.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

size_t most_texts(const std::vector<Tile>& tiles) {
  size_t most = 0;
  for (const Tile& tile : tiles) most = std::max(most, tile.texts);
  return most;
}

}  // namespace

ClassifySink::ClassifySink(const PassArguments& arguments, const std::vector<int32_t>& label, int threads)
    : a_(arguments), label_(label), width_(arguments.program.features()), texts_(arguments.texts.texts()),
      before_(make_flow(arguments.program.before_head, {false, true, true})),
      head_(make_flow(arguments.program.head, {false, true, false})),
      before_source_(arguments.path, arguments.program.before_head.weights),
      head_source_(arguments.path, arguments.program.head.weights),
      before_point_(before_source_.allocate(arguments.ops)),
      features_((size_t(arguments.path.points()) + 2) * arguments.texts.texts() * arguments.program.features()) {
  if (a_.scope) {
    head_point_ = head_source_.allocate(a_.ops);
    head_moves_ = WeightSource::in_scope(a_.program.head.weights, a_.scope->names);
    if (head_moves_) head_direction_ = head_source_.allocate_direction(a_.ops, a_.scope->names);
    slope_.resize(texts_ * size_t(a_.path.points()));
  }
  for (int i = 0; i < threads; i++) scratch_.emplace_back(scratch_floats(a_, before_, head_));
}

size_t ClassifySink::scratch_floats(const PassArguments& a, const Flow& before, const Flow& head) {
  const size_t rows = most_texts(a.tiles), hidden = a.program.hidden;
  const size_t floats = before.slot_floats(a.ops, rows) + before.rest_floats(a.ops, 1, false) +
                        (a.program.select == Select::kMean ? 2 : 0) * rows * hidden;
  if (!a.scope) return floats;
  return std::max(floats, 2 * head.slot_floats(a.ops, rows) + head.rest_floats(a.ops, 1, true) +
                              2 * rows * (hidden + a.program.outputs));
}

uint64_t ClassifySink::planned_bytes(const PassArguments& a, int threads) {
  const BlockWeights &before = a.program.before_head.weights, &head = a.program.head.weights;
  const size_t scratch = scratch_floats(a, make_flow(a.program.before_head, {false, true, true}),
                                        make_flow(a.program.head, {false, true, false}));
  uint64_t bytes = WeightSource::stored_bytes(a.path, before) + WeightSource::stored_bytes(a.path, head) +
                   WeightSource::point_bytes(a.ops, before) + uint64_t(threads) * scratch * sizeof(float);
  if (a.scope) bytes += 2 * WeightSource::point_bytes(a.ops, head) + a.texts.texts() * uint64_t(a.path.points()) * 8;
  return bytes;
}

void ClassifySink::begin(int p, Threads& threads, bool first_chunk) {
  before_source_.form(a_.ops, threads, p - 1, before_point_);
  if (!a_.scope || p == 0 || p > a_.path.points()) return;
  head_source_.form(a_.ops, threads, p - 1, head_point_);
  if (!head_moves_) return;
  head_source_.form_direction(a_.ops, threads, p - 1, a_.scope->names, head_direction_);
  if (first_chunk) a_.scope->norm2[size_t(p - 1)] += norm2(head_direction_);
}

void ClassifySink::mean_rows(const Tile& tile, const float* x, float* out) const {
  const size_t h = a_.program.hidden;
  std::vector<double> sum(h);
  for (size_t t = 0; t < tile.texts; t++) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (uint32_t row = tile.offsets[t]; row < tile.offsets[t + 1]; row++)
      for (size_t j = 0; j < h; j++) sum[j] += double(x[row * h + j]);
    const double length = double(tile.offsets[t + 1] - tile.offsets[t]);
    for (size_t j = 0; j < h; j++) out[t * h + j] = float(sum[j] / length);
  }
}

void ClassifySink::take(int p, const Tile& tile, float* x, float* dx, int worker) {
  const size_t h = a_.program.hidden, rows = tile.texts;
  float* scratch = scratch_[size_t(worker)].data();
  if (a_.program.select == Select::kMean) {
    mean_rows(tile, x, scratch);
    x = scratch;
    scratch += rows * h;
    if (dx) mean_rows(tile, dx, scratch);
    dx = dx ? scratch : nullptr;
    scratch += rows * h;
  }
  const RowTile one(rows);
  float* to = features_.data() + (size_t(p) * texts_ + tile.first_text) * width_;
  run_flow({a_.ops, before_, before_point_, no_ropes_, one.view(), x, to, scratch,
            scratch + before_.slot_floats(a_.ops, rows)});
  const bool on_path = p > 0 && p <= a_.path.points();
  if (a_.scope && on_path && (dx || head_moves_)) derive(p, tile, x, dx, worker);
}

void ClassifySink::derive(int p, const Tile& tile, float* x, float* dx, int worker) {
  const size_t rows = tile.texts, classes = a_.program.outputs, points = size_t(a_.path.points());
  float* scratch = scratch_[size_t(worker)].data() + 2 * rows * a_.program.hidden;
  float *logits = scratch, *change = logits + rows * classes, *slots = change + rows * classes;
  float *tangents = slots + head_.slot_floats(a_.ops, rows), *rest = tangents + head_.slot_floats(a_.ops, rows);
  const RowTile one(rows);
  run_tangent({a_.ops, head_, head_point_, no_ropes_, one.view(), x, logits, slots, rest},
              {head_moves_ ? &head_direction_ : nullptr, dx != nullptr, dx ? dx : x, change, tangents});
  for (size_t t = 0; t < rows; t++) {
    const float *z = logits + t * classes, *dz = change + t * classes;
    const double top = *std::max_element(z, z + classes);
    double total = 0, slope = 0;
    for (size_t c = 0; c < classes; c++) total += std::exp(double(z[c]) - top);
    const size_t text = tile.first_text + t;
    for (size_t c = 0; c < classes; c++)
      slope += (std::exp(double(z[c]) - top) / total - (int32_t(c) == label_[text])) * double(dz[c]);
    slope_[text * points + size_t(p - 1)] = slope;
  }
}

std::vector<double> ClassifySink::alignment() const { return scores_along(slope_, *a_.scope, a_.path); }

}  // namespace warp
