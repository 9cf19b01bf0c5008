#include "diff/spectrum.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/buffer.h"
#include "core/random.h"
#include "diff/compare.h"
#include "diff/eigen.h"
#include "diff/kernels.h"
#include "ops/backward.h"

namespace warp::diff {
namespace {

constexpr size_t kExtra = 16, kRows = 128, kStrips = 16;
constexpr size_t kHeld = size_t(1) << 26;  // floats that the strips' parts of YᵀΔ may take
constexpr int kMostPasses = 24, kMostDegree = 8;
constexpr double kStill = 1e-5, kMostGrowth = 1e5;

size_t up(size_t value, size_t to) { return (value + to - 1) / to * to; }

// Rows first … first + count of the difference, and what their rounding may amount to.
struct Strip {
  size_t first = 0, count = 0;
  Buffer<float> back;            // vectors × columns: part of YᵀΔ
  std::vector<double> gram;      // vectors × vectors: part of YᵀY
  std::vector<double> columns;   // sums of powers by column, of the first pass
  double row = 0;                // largest sum of powers of a row
};

struct Scratch {
  Stored base, reference;
  Buffer<float> delta, y, linear, outer;
  std::vector<double> wide;
  std::vector<float> powers;
};

class Iteration {
 public:
  Iteration(const Weights& base, const Weights& reference, const SpectrumRequest& request, Threads& threads,
            Context& context)
      : base_(base), reference_(reference), request_(request), threads_(threads), context_(context) {
    const TensorInfo& info = reference.info(request.name);
    if (info.shape.size() != 2 || base.info(request.name).shape != info.shape)
      throw internal_error(request.name + " is no matrix of both models");
    rows_ = size_t(info.shape[0]);
    columns_ = size_t(info.shape[1]);
    vectors_ = up(std::min({request.values + kExtra, rows_, columns_}), 16);
    const size_t most = std::min(kStrips, std::max<size_t>(1, kHeld / std::max<size_t>(1, vectors_ * columns_)));
    const size_t strip = std::max(kRows, up((rows_ + most - 1) / most, kRows));
    for (size_t first = 0; first < rows_; first += strip) {
      strips_.emplace_back();
      strips_.back().first = first;
      strips_.back().count = std::min(strip, rows_ - first);
    }
    if (request.memory / sizeof(float) / std::max<size_t>(1, columns_) >= rows_)
      whole_ = Buffer<float>(rows_ * columns_);
    scratch_.resize(size_t(threads.count()));
  }

  Spectrum run() {
    Spectrum found;
    if (rows_ == 0 || columns_ == 0) return found;
    q_ = Buffer<float>(vectors_ * columns_);
    const Random random(request_.seed, "spectrum " + request_.name);
    for (size_t i = 0; i < q_.size(); i += 4) {
      const auto words = random.block(i / 4);
      for (size_t k = 0; k < 4; k++) q_[i + k] = float(double(int32_t(words[k])) * 0x1p-31);
    }
    orthonormalise();
    const size_t wanted = std::min({request_.values, rows_, columns_});
    const Dtype left = base_.info(request_.name).dtype, right = reference_.info(request_.name).dtype;
    const double spacing = std::ldexp(1.0, -fraction_bits(right));
    smallest_ = smallest_exponent(coarser(left, right) ? left : right);
    while (true) {
      sweep();
      if (passes_ == 1) found.rounding = rounding();
      std::vector<double> values = eigenvalues(total_gram(), vectors_);
      values.resize(std::min({values.size(), rows_, columns_}));
      for (double& value : values) value = std::sqrt(std::max(0.0, value));
      found.arithmetic = std::ldexp(std::sqrt(double(columns_)), -24) * values[0];
      const double noise = found.rounding * spacing + found.arithmetic;
      const double jitter = std::ldexp(values[0], -26);  // what float32 itself leaves undecided
      const bool first = found.values.empty();
      found.change = first ? 1 : 0;
      for (size_t i = 0; i < wanted && !first; i++)
        if (values[i] > noise)
          found.change = std::max(found.change, (std::fabs(values[i] - found.values[i]) - jitter) / values[i]);
      found.values = std::move(values);
      found.passes = passes_;
      if ((found.change <= kStill && passes_ > 2) || passes_ >= kMostPasses) break;
      filter(first ? 0 : found.values.back() * found.values.back(), found.values[0] * found.values[0]);
    }
    return found;
  }

 private:
  // Y = ΔQ, YᵀY and YᵀΔ of every strip.
  void sweep() {
    const int pass = ++passes_;
    const Ops& ops = cpu_ops();
    packed_ = Buffer<float>(ops.packed_size(vectors_, columns_));
    ops.pack_outputs(vectors_, columns_, 0, vectors_, q_.data(), columns_, packed_.data());
    threads_.parallel(strips_.size(),
                      [&](size_t task, int worker) { sweep_strip(strips_[task], scratch_[size_t(worker)], pass); });
  }

  void sweep_strip(Strip& strip, Scratch& own, int pass) {
    const Ops& ops = cpu_ops();
    const BackwardOps& backward = cpu_backward_ops();
    const Kernels& loops = kernels();
    if (own.y.size() == 0) {
      own.y = Buffer<float>(kRows * vectors_);
      own.linear = Buffer<float>(ops.linear_scratch(columns_));
      own.outer = Buffer<float>(backward.outer_scratch(kRows, vectors_));
      own.wide.resize(kRows * vectors_);
      own.powers.resize(columns_);
      if (whole_.size() == 0) own.delta = Buffer<float>(kRows * columns_);
    }
    if (pass == 1) {
      strip.back = Buffer<float>(vectors_ * columns_);
      strip.columns.assign(columns_, 0);
    }
    std::fill(strip.back.begin(), strip.back.end(), 0.0f);
    strip.gram.assign(vectors_ * vectors_, 0);
    for (size_t at = 0; at < strip.count; at += kRows) {
      context_.check();
      const size_t first = strip.first + at, count = std::min(kRows, strip.count - at);
      const float* delta = rows(strip, own, first, count, pass);
      ops.linear(count, vectors_, columns_, delta, columns_, packed_.data(), nullptr, Activation::kNone, own.y.data(),
                 vectors_, own.linear.data());
      loops.gram(count, vectors_, own.y.data(), own.wide.data(), strip.gram.data());
      backward.outer(count, vectors_, columns_, own.y.data(), vectors_, delta, columns_, strip.back.data(), columns_,
                     own.outer.data());
    }
  }

  // Rows of the difference: formed in the first pass, and whenever there is no room to keep them.
  const float* rows(Strip& strip, Scratch& own, size_t first, size_t count, int pass) {
    float* delta = whole_.size() > 0 ? whole_.data() + first * columns_ : own.delta.data();
    if (whole_.size() > 0 && pass > 1) return delta;
    own.base.read(base_, request_.name, first * columns_, count * columns_);
    own.reference.read(reference_, request_.name, first * columns_, count * columns_);
    const size_t left = dtype_size(own.base.dtype()) * columns_, right = dtype_size(own.reference.dtype()) * columns_;
    std::fill(own.powers.begin(), own.powers.end(), 0.0f);
    for (size_t row = 0; row < count; row++) {
      const double sum = kernels().subtract(own.base.dtype(), own.base.data() + row * left, own.reference.dtype(),
                                            own.reference.data() + row * right, columns_, smallest_,
                                            delta + row * columns_, own.powers.data());
      strip.row = std::max(strip.row, sum);
    }
    if (pass == 1)
      for (size_t i = 0; i < columns_; i++) strip.columns[i] += double(own.powers[i]);
    return delta;
  }

  double rounding() {
    double row = 0, column = 0;
    for (const Strip& strip : strips_) row = std::max(row, strip.row);
    for (size_t i = 0; i < columns_; i++) {
      double sum = 0;
      for (const Strip& strip : strips_) sum += strip.columns[i];
      column = std::max(column, sum);
    }
    for (Strip& strip : strips_) strip.columns = {};
    return (std::sqrt(row) + std::sqrt(column)) / 2;
  }

  std::vector<double> total_gram() const {
    std::vector<double> sum(vectors_ * vectors_, 0.0);
    for (const Strip& strip : strips_)
      for (size_t i = 0; i < sum.size(); i++) sum[i] += strip.gram[i];
    return sum;
  }

  // ΔᵀΔ of q, of which the sweep has left the parts.
  void collect(Buffer<float>& to) {
    std::copy(strips_[0].back.begin(), strips_[0].back.end(), to.begin());
    for (size_t s = 1; s < strips_.size(); s++) kernels().add_scaled(1, strips_[s].back.data(), to.size(), to.data());
  }

  // A polynomial of ΔᵀΔ, applied to q: the Chebyshev polynomial that is small on [0, low], of as high a degree as
  // float32 bears, `high` being the largest square; the plain power where that is one. The first factor's sweep is done
  // already.
  void filter(double low, double high) {
    const int degree = degree_for(low, high);
    Buffer<float> before, next(q_.size());
    const Kernels& loops = kernels();
    for (int k = 1; k <= degree; k++) {
      if (k > 1) sweep();
      collect(next);
      if (degree > 1) {
        const float half = float(low / 2), factor = float((k > 1 ? 4 : 2) / low);
        loops.add_scaled(-half, q_.data(), next.size(), next.data());
        for (float& value : next) value *= factor;
        if (k > 1) loops.add_scaled(-1, before.data(), next.size(), next.data());
        before = std::move(q_);
        q_ = std::move(next);
        next = Buffer<float>(q_.size());
      } else {
        std::swap(q_, next);
      }
    }
    orthonormalise();
  }

  int degree_for(double low, double high) const {
    int degree = 1;
    if (!(low > 0)) return degree;
    const double x = 2 * high / low - 1;
    for (double before = 1, now = x; degree < std::min(kMostDegree, kMostPasses - passes_); degree++) {
      const double next = 2 * x * now - before;
      if (next > kMostGrowth) break;
      before = now;
      now = next;
    }
    return degree;
  }

  // Gram and Schmidt, each vector against those before it until nothing more falls away. Those that are not
  // independent, or more than there are columns, become zero and take no part.
  void orthonormalise() {
    const Kernels& loops = kernels();
    for (size_t j = 0; j < vectors_; j++) {
      context_.check();
      float* own = q_.data() + j * columns_;
      const double first = std::sqrt(loops.dot(own, own, columns_));
      double length = first;
      for (int round = 0; round < 4 && length > 0; round++) {
        const double before = length;
        for (size_t i = 0; i < j; i++) {
          const float* other = q_.data() + i * columns_;
          loops.add_scaled(float(-loops.dot(own, other, columns_)), other, columns_, own);
        }
        length = std::sqrt(loops.dot(own, own, columns_));
        if (round > 0 && length > 0.5 * before) break;
      }
      const float factor = j < columns_ && length > 1e-9 * first ? float(1 / length) : 0.0f;
      for (size_t i = 0; i < columns_; i++) own[i] *= factor;
    }
  }

  const Weights &base_, &reference_;
  const SpectrumRequest& request_;
  Threads& threads_;
  Context& context_;
  size_t rows_ = 0, columns_ = 0, vectors_ = 0;
  int smallest_ = -126, passes_ = 0;
  std::vector<Strip> strips_;
  std::vector<Scratch> scratch_;
  Buffer<float> whole_, q_, packed_;
};

}  // namespace

Spectrum spectrum(const Weights& base, const Weights& reference, const SpectrumRequest& request, Threads& threads,
                  Context& context) {
  return Iteration(base, reference, request, threads, context).run();
}

}  // namespace warp::diff
