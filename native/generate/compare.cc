#include "generate/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
namespace warp {
namespace {

constexpr size_t kRows = 96;  // of logits that exist at a time, by worker and model
constexpr double kUnit = 0x1p44;  // a probability of 1 in sums of whole numbers, whose order changes no bit

// p · 2⁴⁴, rounded: the low bits of a number in [2⁵², 2⁵³), in a form that compilers make vectors of.
int64_t fixed(float p) {
  constexpr double shift = 0x1.8p52;
  const double shifted = double(p) * kUnit + shift;
  int64_t bits, none;
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&none, &shift, sizeof none);
  return bits - none;
}

// The ids of the `top` largest values, in order; ties by id.
void largest_ids(const float* values, size_t size, size_t top, uint32_t* out) {
  const auto before = [&](uint32_t a, uint32_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; };
  for (uint32_t i = 0; i < top; i++) out[i] = i;
  std::make_heap(out, out + top, before);  // the last in order is on top
  float worst = values[out[0]];  // of a tie the smaller id is there already
  for (uint32_t i = uint32_t(top); i < size; i++) {
    if (values[i] <= worst) continue;
    std::pop_heap(out, out + top, before);
    out[top - 1] = i;
    std::push_heap(out, out + top, before);
    worst = values[out[0]];
  }
  std::sort_heap(out, out + top, before);
}

class CompareSink : public PassSink {
 public:
  CompareSink(const CompareJob& job, const PassArguments& a)
      : job_(job), a_(a), head_(make_flow(a.program.head, {false, true, true})),
        source_(a.path, a.program.head.weights) {
    for (BlockPoint& point : points_) point = source_.allocate(a.ops);
    const size_t tokens = a.texts.ids.size(), width = a.program.hidden;
    divergence_.assign(tokens, 0.0);
    promoted_.assign(tokens * job.top, kNoToken);
    suppressed_.assign(tokens * job.top, kNoToken);
    base_rows_.assign(a.texts.texts(), nullptr);
    if (job.mean_layer > 0) means_.assign(a.texts.texts() * width, 0.0);
    for (int i = 0; i < job.threads; i++) {
      Worker w;
      w.rows = Buffer<float>(kRows * width);
      for (Buffer<float>& logits : w.logits) logits = Buffer<float>(kRows * a.program.outputs);
      for (std::vector<int64_t>& sum : w.expected) sum.assign(a.program.outputs, 0);
      w.ratios = Buffer<float>(a.program.outputs);
      w.slots = Buffer<float>(head_.slot_floats(a.ops, kRows));
      w.rest = Buffer<float>(head_.rest_floats(a.ops, 1, false));
      workers_.push_back(std::move(w));
    }
    if (job.positions == 0) return;
    tile_of_.assign(a.texts.texts(), 0);
    for (size_t i = 0; i < a.tiles.size(); i++) tile_of_[a.tiles[i].first_text] = i;
    sums_ = Buffer<double>(a.tiles.size() * places() * 2 * width);
    std::fill(sums_.begin(), sums_.end(), 0.0);
  }

  static uint64_t planned_bytes(const CompareJob& job, const PassArguments& a) {
    const BlockWeights& weights = a.program.head.weights;
    const Flow head = make_flow(a.program.head, {false, true, true});
    const uint64_t outputs = a.program.outputs;
    // in floats: rows, logits, ratios, two sums
    const uint64_t worker = kRows * (a.program.hidden + 2 * outputs) + outputs + 4 * outputs +
                            head.slot_floats(a.ops, kRows) + head.rest_floats(a.ops, 1, false);
    const uint64_t sums = a.tiles.size() * a.program.layers.size() * job.positions * 2 * a.program.hidden * 8;
    return WeightSource::stored_bytes(a.path, weights) + 2 * WeightSource::point_bytes(a.ops, weights) +
           uint64_t(job.threads) * worker * 4 + sums + 2 * a.texts.ids.size() * (8 + 8 * job.top) + 2 * outputs * 8 +
           (job.mean_layer > 0 ? 2 * a.texts.texts() * a.program.hidden * 8 : 0);
  }

  // Both points of the head are formed when the reference's turn comes.
  void begin(int point, Threads& threads, bool first_chunk) override {
    if (!first_chunk || point == 0) return;
    for (int p = 0; p < 2; p++) source_.form(a_.ops, threads, p - 1, points_[p]);
  }

  void take(int point, const Tile& tile, float* x, float*, int worker) override {
    if (point == 0) {
      base_rows_[tile.first_text] = x;
      return;
    }
    const size_t first = a_.texts.offsets[tile.first_text];
    std::vector<uint32_t> rows;
    for (uint32_t row = 0; row < tile.tokens(); row++) {
      if (a_.texts.targets[first + row] != kNoTarget) rows.push_back(row);
      if (rows.size() < kRows && (row + 1 < tile.tokens() || rows.empty())) continue;
      block(first, rows, base_rows_[tile.first_text], x, workers_[size_t(worker)]);
      rows.clear();
    }
  }

  bool watches() const override { return job_.positions > 0 || job_.mean_layer > 0; }
  void watch(size_t layer, int point, const Tile& tile, const float* x) override {
    if (point == 1 && layer + 1 == job_.mean_layer) add_means(tile, x);
    if (job_.positions == 0) return;
    const size_t width = a_.program.hidden, tile_at = tile_of_[tile.first_text];
    for (size_t t = 0; t < tile.texts; t++)
      for (size_t p = 0; p < job_.positions && tile.offsets[t] + p < tile.offsets[t + 1]; p++) {
        const float* row = x + (tile.offsets[t] + p) * width;
        double* sum = sums_.data() + ((tile_at * places() + layer * job_.positions + p) * 2 + size_t(point)) * width;
        for (size_t j = 0; j < width; j++) sum[j] += double(row[j]);
      }
  }

  void finish(CompareResult& out, Threads& threads) {
    out.divergence = std::move(divergence_);
    out.promoted = std::move(promoted_);
    out.suppressed = std::move(suppressed_);
    out.means = std::move(means_);
    for (int model = 0; model < 2; model++) {
      std::vector<int64_t> sum(a_.program.outputs, 0);
      for (const Worker& w : workers_)
        for (size_t j = 0; j < sum.size(); j++) sum[j] += w.expected[model][j];
      for (int64_t all : sum) out.expected[model].push_back(double(all) / kUnit);
    }
    if (job_.positions == 0) return;
    out.lens.resize(places());
    const size_t each = (places() + size_t(threads.count()) - 1) / size_t(threads.count()),
                 height = std::min(each, kRows);
    threads.parallel((places() + height - 1) / height, [&](size_t task, int worker) {
      read(task * height, std::min(height, places() - task * height), out.lens, workers_[size_t(worker)]);
    });
  }

 private:
  struct Worker {
    Buffer<float> rows, logits[2], ratios, slots, rest;
    std::vector<int64_t> expected[2];
  };
  size_t places() const { return a_.program.layers.size() * job_.positions; }

  void add_means(const Tile& tile, const float* x) {
    const size_t width = a_.program.hidden;
    for (size_t t = 0; t < tile.texts; t++) {
      double* mean = &means_[(tile.first_text + t) * width];
      const size_t first = tile.offsets[t], end = tile.offsets[t + 1];
      for (size_t row = first; row < end; row++)
        for (size_t j = 0; j < width; j++) mean[j] += double(x[row * width + j]) / double(end - first);
    }
  }

  float* logits(int model, size_t count, Worker& w) const {
    const std::vector<RopeTable> none;
    run_flow({a_.ops, head_, points_[model], none, RowTile(count).view(), w.rows.data(), w.logits[model].data(),
              w.slots.data(), w.rest.data()});
    return w.logits[model].data();
  }

  void block(size_t first, const std::vector<uint32_t>& rows, const float* base, const float* x, Worker& w) {
    const size_t count = rows.size(), h = a_.program.hidden, v = a_.program.outputs;
    std::vector<uint32_t> targets;
    for (uint32_t row : rows) targets.push_back(a_.texts.targets[first + row]);
    const auto make = [&](int model, const float* from) {
      a_.ops.gather(count, h, from, h, rows.data(), w.rows.data(), h);
      return logits(model, count, w);
    };
    float *z0 = make(0, base), *z = make(1, x);
    for (size_t i = 0; i < count; i++) position(first + rows[i], targets[i], z0 + i * v, z + i * v, w);
  }

  // What each token adds to the divergences of one position takes the place of its logits: p* log(p* / p₀) that of z,
  // p₀ log(p₀ / p*) that of z0.
  void position(size_t token, uint32_t target, float* z0, float* z, Worker& w) {
    const size_t v = a_.program.outputs;
    float* ratio = w.ratios.data();
    for (size_t j = 0; j < v; j++) ratio[j] = z[j] - z0[j];
    const float rise = float(softmax(z, target) - softmax(z0, target));
    for (size_t j = 0; j < v; j++) ratio[j] -= rise;
    double kl = 0;
    a_.ops.row_dots(1, v, {z, v}, {ratio, v}, &kl);
    if (!std::isfinite(kl)) throw loss_not_finite(text_of(token));
    divergence_[token] = std::max(kl, 0.0);  // what rounding leaves of equal models
    int64_t *base = w.expected[0].data(), *reference = w.expected[1].data();
    for (size_t j = 0; j < v; j++) base[j] += fixed(z0[j]);
    for (size_t j = 0; j < v; j++) reference[j] += fixed(z[j]);
    for (size_t j = 0; j < v; j++) z[j] *= ratio[j];
    for (size_t j = 0; j < v; j++) z0[j] *= -ratio[j];
    largest(z, &promoted_[token * job_.top]);
    largest(z0, &suppressed_[token * job_.top]);
  }

  // z becomes its softmax; log Σ e^z
  double softmax(float* z, uint32_t target) const {
    const size_t v = a_.program.outputs;
    const double at = double(z[target]);
    double loss = 0;
    a_.ops.cross_entropy(1, v, {z, v}, &target, &loss, 1, {z, v});
    z[target] = float(std::exp(-loss));  // anew: p − 1 has lost the last bits of p
    return loss + at;
  }

  void largest(const float* values, uint32_t* out) const {
    largest_ids(values, a_.program.outputs, job_.top, out);
    for (size_t k = 0; k < job_.top; k++)
      if (!(values[out[k]] > 0)) out[k] = kNoToken;
  }

  size_t text_of(size_t token) const {
    const auto& offsets = a_.texts.offsets;
    return size_t(std::upper_bound(offsets.begin(), offsets.end(), token) - offsets.begin()) - 1;
  }

  // Mean differences of some places, and what the head makes of them.
  void read(size_t first, size_t count, std::vector<LensPlace>& lens, Worker& w) const {
    const size_t outputs = a_.program.outputs;
    for (size_t i = 0; i < count; i++) lens[first + i] = mean(first + i, w.rows.data() + i * a_.program.hidden);
    float* z = logits(1, count, w);
    const auto top = [&](size_t i) {
      std::vector<uint32_t> ids(job_.top);
      largest_ids(z + i * outputs, outputs, job_.top, ids.data());
      return ids;
    };
    for (size_t i = 0; i < count; i++) lens[first + i].tokens = top(i);
    for (size_t at = 0; at < count * outputs; at++) z[at] = -z[at];
    for (size_t i = 0; i < count; i++) lens[first + i].away = top(i);
  }

  // Sums of the tiles in their order, so that bits do not depend on who computed which.
  LensPlace mean(size_t place, float* difference) const {
    const size_t width = a_.program.hidden, position = place % job_.positions;
    std::vector<double> sum(2 * width, 0.0);
    for (size_t tile = 0; tile < a_.tiles.size(); tile++)
      for (size_t j = 0; j < 2 * width; j++) sum[j] += sums_[(tile * places() + place) * 2 * width + j];
    double texts = 0;
    for (size_t t = 0; t < a_.texts.texts(); t++) texts += a_.texts.offsets[t + 1] - a_.texts.offsets[t] > position;
    LensPlace out;
    for (size_t j = 0; j < width; j++) {
      const double base = texts > 0 ? sum[j] / texts : 0, change = texts > 0 ? sum[width + j] / texts - base : 0;
      out.norm += change * change;
      out.base_norm += base * base;
      difference[j] = float(change);
    }
    out.norm = std::sqrt(out.norm);
    out.base_norm = std::sqrt(out.base_norm);
    return out;
  }

  const CompareJob& job_;
  const PassArguments& a_;
  const Flow head_;
  const WeightSource source_;
  BlockPoint points_[2];
  std::vector<Worker> workers_;
  std::vector<const float*> base_rows_;  // by a tile's first text
  std::vector<double> divergence_;
  std::vector<uint32_t> promoted_, suppressed_;
  std::vector<double> means_;
  std::vector<size_t> tile_of_;
  Buffer<double> sums_;  // tiles × places × (base, reference) × hidden
};

void check(const CompareJob& job) {
  if (!job.program.language || job.path->points() != 0) throw internal_error("compare: a language model, no points");
  if (job.texts.targets.size() != job.texts.ids.size() || job.top == 0 || job.top > job.program.outputs ||
      job.mean_layer > job.program.layers.size())
    throw internal_error("compare: arrays of different lengths");
  for (uint32_t id : job.texts.ids)
    if (id >= job.program.vocabulary) throw internal_error("compare: token id out of range");
  for (uint32_t id : job.texts.targets)
    if (id >= job.program.outputs && id != kNoTarget) throw internal_error("compare: target out of range");
  for (size_t t = 0; t < job.texts.texts(); t++)
    if (job.texts.offsets[t + 1] <= job.texts.offsets[t] ||
        job.texts.offsets[t + 1] - job.texts.offsets[t] > job.program.positions)
      throw internal_error("compare: text length");
}

ForwardPlan plan(const CompareJob& job, const PassArguments& pass) {
  const uint64_t kept = CompareSink::planned_bytes(job, pass);
  return plan_pass(pass, {job.threads, job.memory, kept, kept});
}

}  // namespace

ForwardPlan plan_compare(const CompareJob& job) {
  check(job);
  const std::vector<Tile> tiles = cut_tiles(job.program, job.texts);
  return plan(job, {job.program, cpu_ops(), *job.path, job.texts, tiles, nullptr});
}

CompareResult run_compare(const CompareJob& job, Context& context) {
  check(job);
  const std::vector<Tile> tiles = cut_tiles(job.program, job.texts);
  const PassArguments pass{job.program, cpu_ops(), *job.path, job.texts, tiles, nullptr};
  CompareResult out;
  out.plan = plan(job, pass);
  Threads threads(job.threads);
  CompareSink sink(job, pass);
  run_pass(pass, out.plan, sink, threads, context);
  sink.finish(out, threads);
  return out;
}

}  // namespace warp
