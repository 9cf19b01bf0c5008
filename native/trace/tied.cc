#include "trace/tied.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "core/random.h"
#include "ops/backward.h"
#include "ops/ops.h"
#include "trace/dense.h"
#include "trace/table.h"

namespace warp {
namespace {

constexpr size_t kRows = 64;              // that a thread takes at once
constexpr size_t kParts = 8;              // sums in a fixed order: each part's in float32, theirs in double
constexpr double kRidge = 0.5;            // of the mean square of a direction's entry
constexpr double kShrink = 1e-3;          // of the covariance towards its mean variance
constexpr double kOutlying = 4 * 1.4826;  // median absolute deviations

// u, and [x, 1, log ‖θ₀‖], of one row.
struct Row {
  float *u, *features;
  double base = 0, moved = 0;  // squared norms
};

class Folding {
 public:
  Folding(size_t columns, size_t to) : columns_(columns), to_(to), bucket_(columns), sign_(columns, 1.0f) {
    std::iota(bucket_.begin(), bucket_.end(), 0u);
    if (to == columns) return;
    const Random random(0, "trace/folding");
    for (size_t j = 0; j + 1 < columns; j++)
      std::swap(bucket_[j], bucket_[j + size_t(uint64_t(random.word(j)) * (columns - j) >> 32)]);
    for (size_t j = 0; j < columns; j++) {
      bucket_[j] %= uint32_t(to);
      sign_[j] = random.word(columns + j) & 1 ? 1.0f : -1.0f;
    }
  }
  size_t to() const { return to_; }

  // Directions of unit length before they are folded.
  void row(const float* base, const float* reference, Row& row) const {
    row.base = row.moved = 0;
    std::fill_n(row.u, to_, 0.0f);
    std::fill_n(row.features, to_, 0.0f);
    for (size_t j = 0; j < columns_; j++) {
      const float delta = reference[j] - base[j];
      row.base += double(base[j]) * base[j];
      row.moved += double(delta) * delta;
      row.u[bucket_[j]] += sign_[j] * delta;
      row.features[bucket_[j]] += sign_[j] * base[j];
    }
    const float moved = row.moved > 0 ? float(1 / std::sqrt(row.moved)) : 0;
    const float size = row.base > 0 ? float(1 / std::sqrt(row.base)) : 0;
    for (size_t j = 0; j < to_; j++) {
      row.u[j] *= moved;
      row.features[j] *= size;
    }
    row.features[to_] = 1;
    row.features[to_ + 1] = row.base > 0 ? float(0.5 * std::log(row.base)) : 0;
  }

 private:
  size_t columns_, to_;
  std::vector<uint32_t> bucket_;
  std::vector<float> sign_;
};

// Some rows of both tables in float32.
struct Pair {
  TableBlock base, reference;
  std::vector<float> left, right;

  void read(const Table& a, const Table& b, const uint32_t* list, uint64_t first, size_t count) {
    base.read(a, list, first, count, kRows);
    reference.read(b, list, first, count, kRows);
    left.resize(kRows * a.columns);
    right.resize(kRows * a.columns);
    to_float(base.dtype, base.row(0), count * a.columns, left.data());
    to_float(reference.dtype, reference.row(0), count * a.columns, right.data());
  }
};

// Directions and features of rows, one after the other.
struct Rows {
  size_t columns, width;  // of u, of the features
  std::vector<float> u, features;

  Rows(size_t columns, size_t count)
      : columns(columns), width(columns + 2), u(count * columns), features(count * width) {}
  size_t count() const { return u.size() / columns; }
  Row row(size_t i) { return {u.data() + i * columns, features.data() + i * width}; }
  // Keeps the rows that are asked for.
  void keep(const std::vector<uint8_t>& wanted) {
    size_t to = 0;
    for (size_t i = 0; i < wanted.size(); i++) {
      if (!wanted[i]) continue;
      std::copy_n(u.data() + i * columns, columns, u.data() + to * columns);
      std::copy_n(features.data() + i * width, width, features.data() + to * width);
      to++;
    }
    u.resize(to * columns);
    features.resize(to * width);
  }
};

// aᵀ b, a rows × left, b rows × right: left × right
std::vector<double> product(const float* a, size_t left, const float* b, size_t right, size_t rows, Threads& threads) {
  const BackwardOps& ops = cpu_backward_ops();
  const size_t part = (rows + kParts - 1) / kParts;
  std::vector<std::vector<float>> sums(kParts);
  threads.parallel(kParts, [&](size_t task, int) {
    const size_t begin = std::min(rows, task * part), count = std::min(rows, begin + part) - begin;
    sums[task].assign(left * right, 0.0f);
    if (count == 0) return;
    std::vector<float> scratch(ops.outer_scratch(count, left));
    ops.outer(count, left, right, a + begin * left, left, b + begin * right, right, sums[task].data(), right,
              scratch.data());
  });
  std::vector<double> total(left * right, 0.0);
  for (const std::vector<float>& one : sums)
    for (size_t i = 0; i < one.size(); i++) total[i] += one[i];
  return total;
}

// Predicts u from the features and whitens what is left of it.
class Model {
 public:
  Model(size_t columns) : columns_(columns), width_(columns + 2) {}

  void fit(const Rows& rows, Threads& threads) {
    const size_t n = rows.count();
    std::vector<double> squares = product(rows.features.data(), width_, rows.features.data(), width_, n, threads);
    std::vector<double> weight = product(rows.features.data(), width_, rows.u.data(), columns_, n, threads);
    for (size_t i = 0; i < width_; i++)
      squares[i * width_ + i] += i < columns_ ? kRidge * double(n) / double(columns_) : 1e-6 * double(n);
    cholesky(squares, width_, 1e-9 * double(n));
    triangular_solve(squares, width_, weight, columns_, true);
    std::vector<float> transposed(columns_ * width_);
    for (size_t i = 0; i < width_; i++)
      for (size_t j = 0; j < columns_; j++) transposed[j * width_ + i] = float(weight[i * columns_ + j]);
    prediction_ = pack(transposed, width_);

    std::vector<float> residuals(rows.u.size());
    threads.parallel((n + kRows - 1) / kRows, [&](size_t task, int) {
      const size_t begin = task * kRows, count = std::min(kRows, n - begin);
      residual(rows.u.data() + begin * columns_, rows.features.data() + begin * width_, count,
               residuals.data() + begin * columns_);
    });
    std::vector<double> covariance = product(residuals.data(), columns_, residuals.data(), columns_, n, threads);
    double trace = 0;
    for (size_t i = 0; i < columns_; i++) trace += covariance[i * columns_ + i];
    for (size_t i = 0; i < columns_; i++) covariance[i * columns_ + i] += kShrink * trace / double(columns_) + 1e-30;
    for (double& entry : covariance) entry /= double(n);
    cholesky(covariance, columns_, 1e-30);
    std::vector<double> inverse(columns_ * columns_, 0.0);
    for (size_t i = 0; i < columns_; i++) inverse[i * columns_ + i] = 1;
    triangular_solve(covariance, columns_, inverse, columns_, false);
    whitening_ = pack(std::vector<float>(inverse.begin(), inverse.end()), columns_);
  }

  // log ‖whitened residual‖² of each row
  void score(const float* u, const float* features, size_t count, double* scores) const {
    std::vector<float> left(count * columns_), white(count * columns_);
    residual(u, features, count, left.data());
    multiply(left.data(), count, columns_, whitening_, white.data());
    for (size_t i = 0; i < count; i++) {
      double sum = 0;
      for (size_t j = 0; j < columns_; j++) sum += double(white[i * columns_ + j]) * white[i * columns_ + j];
      scores[i] = std::log(std::max(sum, 1e-300));
    }
  }

 private:
  std::vector<float> pack(const std::vector<float>& weight, size_t inputs) const {
    std::vector<float> packed(cpu_ops().packed_size(columns_, inputs));
    cpu_ops().pack_outputs(columns_, inputs, 0, columns_, weight.data(), inputs, packed.data());
    return packed;
  }
  void multiply(const float* x, size_t count, size_t inputs, const std::vector<float>& packed, float* y) const {
    std::vector<float> scratch(cpu_ops().linear_scratch(inputs));
    cpu_ops().linear(count, columns_, inputs, x, inputs, packed.data(), nullptr, Activation::kNone, y, columns_,
                     scratch.data());
  }
  void residual(const float* u, const float* features, size_t count, float* out) const {
    multiply(features, count, width_, prediction_, out);
    for (size_t i = 0; i < count * columns_; i++) out[i] = u[i] - out[i];
  }

  size_t columns_, width_;
  std::vector<float> prediction_, whitening_;
};

// Rows whose score is not far above the others'.
std::vector<uint8_t> inliers(const Model& model, const Rows& rows, Threads& threads) {
  const size_t n = rows.count();
  std::vector<double> scores(n);
  threads.parallel((n + kRows - 1) / kRows, [&](size_t task, int) {
    const size_t begin = task * kRows;
    model.score(rows.u.data() + begin * rows.columns, rows.features.data() + begin * rows.width,
                std::min(kRows, n - begin), scores.data() + begin);
  });
  const auto median = [](std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + ptrdiff_t(values.size() / 2), values.end());
    return values[values.size() / 2];
  };
  const double middle = median(scores);
  std::vector<double> far(n);
  std::transform(scores.begin(), scores.end(), far.begin(), [&](double score) { return std::fabs(score - middle); });
  const double limit = middle + kOutlying * median(far);
  std::vector<uint8_t> wanted(n);
  std::transform(scores.begin(), scores.end(), wanted.begin(), [&](double score) { return score <= limit; });
  return wanted;
}

struct Scratch {
  Pair pair;
  std::unique_ptr<Rows> rows;
};

}  // namespace

TiedScores tied_scores(const Weights& base, const Weights& reference, const TiedRequest& request, Threads& threads,
                       Context& context) {
  const Table left(base, request.base), right(reference, request.reference);
  if (left.columns != right.columns || left.rows != right.rows) throw internal_error("tables of different shape");
  const size_t columns = std::min<size_t>(size_t(right.columns), request.columns);
  if (columns == 0 || request.fit.empty()) throw internal_error("nothing to fit");
  const Folding folding(size_t(right.columns), columns);
  std::vector<Scratch> scratch(size_t(threads.count()));
  std::atomic<uint64_t> done{0};
  const double all = double(request.fit.size() + right.rows);

  Rows fit(columns, request.fit.size());
  std::vector<uint8_t> moved(request.fit.size());
  threads.parallel((fit.count() + kRows - 1) / kRows, [&](size_t task, int worker) {
    const size_t first = task * kRows, count = std::min(kRows, request.fit.size() - first);
    Pair& pair = scratch[size_t(worker)].pair;
    pair.read(left, right, request.fit.data() + first, first, count);
    for (size_t i = 0; i < count; i++) {
      Row row = fit.row(first + i);
      folding.row(pair.left.data() + i * left.columns, pair.right.data() + i * left.columns, row);
      moved[first + i] = row.moved > 0 && row.base > 0;
    }
    context.progress(double(done += count), all);
  });
  TiedScores found;
  found.columns = uint32_t(columns);
  for (std::vector<double>* list : {&found.score, &found.base, &found.moved, &found.along})
    list->assign(right.rows, std::numeric_limits<double>::quiet_NaN());
  fit.keep(moved);
  if (fit.count() == 0) return found;
  Model model(columns);
  model.fit(fit, threads);
  context.check();
  fit.keep(inliers(model, fit, threads));
  model.fit(fit, threads);
  context.check();
  std::vector<double> mean(columns);
  cpu_backward_ops().add_rows(fit.count(), columns, fit.u.data(), columns, mean.data());
  for (double& entry : mean) entry /= double(fit.count());

  found.fitted = uint32_t(fit.count());
  threads.parallel(size_t((right.rows + kRows - 1) / kRows), [&](size_t task, int worker) {
    const uint64_t first = task * kRows;
    const size_t count = size_t(std::min<uint64_t>(kRows, right.rows - first));
    Scratch& own = scratch[size_t(worker)];
    if (!own.rows) own.rows = std::make_unique<Rows>(columns, kRows);
    own.pair.read(left, right, nullptr, first, count);
    std::vector<double> scores(count);
    std::vector<Row> rows;
    for (size_t i = 0; i < count; i++) {
      rows.push_back(own.rows->row(i));
      folding.row(own.pair.left.data() + i * left.columns, own.pair.right.data() + i * left.columns, rows[i]);
    }
    model.score(own.rows->u.data(), own.rows->features.data(), count, scores.data());
    for (size_t i = 0; i < count; i++) {
      if (!(rows[i].moved > 0 && rows[i].base > 0)) continue;
      double along = 0;
      for (size_t j = 0; j < columns; j++) along += mean[j] * rows[i].features[j];
      found.score[first + i] = scores[i];
      found.base[first + i] = 0.5 * std::log(rows[i].base);
      found.moved[first + i] = 0.5 * std::log(rows[i].moved);
      found.along[first + i] = along * std::sqrt(rows[i].base);
    }
    context.progress(double(done += count), all);
  });
  return found;
}

}  // namespace warp
