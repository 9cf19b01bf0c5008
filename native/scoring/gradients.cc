#include "scoring/gradients.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

constexpr size_t kProbeBlock = 32;

// Gradients are laid out as Head::direction: (labels + dense rows) × (hidden + 1), the last column the bias.
class Gradients {
 public:
  Gradients(const Head& head, const Path& path, const Buffer<float>& features, size_t texts,
            const std::vector<int32_t>& label, const std::vector<int32_t>& domain, size_t domains, Threads& threads,
            Context& context)
      : head_(head), features_(features), label_(label), domain_(domain), threads_(threads), context_(context),
        texts_(texts), domains_(domains), points_(size_t(path.points())), h_(head.program().features()),
        labels_(head.program().outputs), rows_(labels_ + (head.has_dense() ? h_ : 0)), width_(h_ + 1) {
    for (size_t d = 0; d < domains; d++) members_.emplace_back();
    for (size_t i = 0; i < texts; i++) members_[domain[i]].push_back(i);
    for (size_t k = 0; k < points_; k++) heads_.push_back(head.point(int(k)));
    const HeadPoint base = head.point(-1), reference = head.point(int(points_));
    delta_ = head.direction(base, reference, head.has_dense() ? Scope::kTop : Scope::kHead);
  }

  std::vector<GradientStatistics> run() {
    means();
    std::vector<GradientStatistics> all;
    for (double q : {0.0, 1.0}) {
      precondition(q);
      for (Scope scope : {Scope::kHead, Scope::kTop})
        if (scope == Scope::kHead || head_.has_dense()) all.push_back(summary(scope, q));
      probes(&all[all.size() - (head_.has_dense() ? 2 : 1)]);
    }
    return all;
  }

 private:
  size_t elements() const { return rows_ * width_; }
  size_t scope_rows(Scope scope) const { return scope == Scope::kHead ? labels_ : rows_; }

  // mean_ (domains × elements) and squares_ (elements): Σ over domains and points of Ḡ_{d,k}².
  void means() {
    mean_ = Buffer<double>(domains_ * elements());
    squares_ = Buffer<double>(elements());
    std::fill(mean_.begin(), mean_.end(), 0.0);
    std::fill(squares_.begin(), squares_.end(), 0.0);
    Buffer<float> one(domains_ * elements());
    for (size_t k = 0; k < points_; k++) {
      threads_.parallel(domains_, [&](size_t d, int) {
        context_.check();
        domain_mean(d, k, one.data() + d * elements());
      });
      const size_t step = 1 << 14;
      threads_.parallel((elements() + step - 1) / step, [&](size_t task, int) {
        for (size_t at = task * step; at < std::min(elements(), (task + 1) * step); at++)
          for (size_t d = 0; d < domains_; d++) {
            const double g = one[d * elements() + at];
            mean_[d * elements() + at] += g / double(points_);
            squares_[at] += g * g;
          }
      });
    }
  }

  // Ḡ_{d,k} = left ᵀ · [right | 1] / n as a product over the domain's probes.
  void domain_mean(size_t d, size_t k, float* out) const {
    const std::vector<size_t>& members = members_[d];
    const size_t n = members.size();
    Buffer<float> x(n * h_);
    std::vector<int32_t> label(n);
    for (size_t i = 0; i < n; i++) {
      const float* from = features_.data() + ((k + 1) * texts_ + members[i]) * h_;
      std::copy(from, from + h_, x.data() + i * h_);
      label[i] = label_[members[i]];
    }
    const HeadRows rows = head_.evaluate(heads_[k], n, x.data(), label.data(), head_.has_dense());
    outer(n, rows.e.data(), labels_, rows.h.data(), float(1.0 / double(n)), out);
    if (head_.has_dense()) outer(n, rows.a.data(), h_, x.data(), float(1.0 / double(n)), out + labels_ * width_);
  }

  // out (left_width × (hidden + 1)) = scale · leftᵀ [right | 1]; left: n × left_width, right: n × hidden.
  void outer(size_t n, const float* left, size_t left_width, const float* right, float scale, float* out) const {
    const Ops& ops = head_.ops();
    Buffer<float> turned(left_width * n), extended(n * width_), packed(ops.packed_size(width_, n)),
        scratch(ops.linear_scratch(n));
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < left_width; j++) turned[j * n + i] = scale * left[i * left_width + j];
      std::copy(right + i * h_, right + (i + 1) * h_, extended.data() + i * width_);
      extended[i * width_ + h_] = 1.0f;
    }
    ops.pack_inputs(width_, n, 0, n, extended.data(), width_, packed.data());
    ops.linear(left_width, width_, n, turned.data(), n, packed.data(), nullptr, Activation::kNone, out, width_,
               scratch.data());
  }

  // inverse_[at] = u^−q
  void precondition(double q) {
    inverse_ = Buffer<double>(elements());
    for (size_t at = 0; at < elements(); at++) {
      const double u = std::sqrt(squares_[at] / double(domains_ * points_));
      inverse_[at] = q == 0 ? 1.0 : u > 0 ? std::pow(u, -q) : 0.0;
    }
  }

  GradientStatistics summary(Scope scope, double q) const {
    const size_t count = scope_rows(scope) * width_;
    GradientStatistics out{scope,
                           q,
                           std::vector<double>(domains_ * domains_),
                           std::vector<double>(domains_),
                           0,
                           std::vector<double>(texts_ * (domains_ + 2))};
    for (size_t at = 0; at < count; at++) out.displacement_norm2 += delta_[at] * delta_[at];
    threads_.parallel(domains_, [&](size_t d, int) {
      const double* left = mean_.data() + d * elements();
      for (size_t e = 0; e <= d; e++) {
        const double* right = mean_.data() + e * elements();
        double dot = 0;
        for (size_t at = 0; at < count; at++) dot += left[at] * right[at] * inverse_[at] * inverse_[at];
        out.gram[d * domains_ + e] = out.gram[e * domains_ + d] = dot;
      }
      for (size_t at = 0; at < count; at++) out.displacement[d] += left[at] * inverse_[at] * delta_[at];
    });
    return out;
  }

  // Every probe's products, for one q: `out` is the head's statistics, out + 1 the top's.
  void probes(GradientStatistics* out) {
    // what ⟨g_i, ·⟩ is taken with: A_d / u^q for each domain, then δ / u^q
    std::vector<Buffer<float>> head_with(domains_ + 1), top_with(domains_ + 1);
    const Ops& ops = head_.ops();
    threads_.parallel(domains_ + 1, [&](size_t d, int) {
      Buffer<float> with(elements());
      for (size_t at = 0; at < elements(); at++)
        with[at] =
            float(d < domains_ ? mean_[d * elements() + at] * inverse_[at] * inverse_[at] : delta_[at] * inverse_[at]);
      head_with[d] = pack_with(ops, with.data(), labels_);
      if (head_.has_dense()) top_with[d] = pack_with(ops, with.data() + labels_ * width_, h_);
    });
    threads_.parallel((texts_ + kProbeBlock - 1) / kProbeBlock, [&](size_t block, int) {
      context_.check();
      probe_block(block * kProbeBlock, std::min(kProbeBlock, texts_ - block * kProbeBlock), head_with, top_with, out);
    });
  }

  Buffer<float> pack_with(const Ops& ops, const float* rows, size_t count) const {
    Buffer<float> packed(ops.packed_size(count, width_));
    ops.pack_outputs(count, width_, 0, count, rows, width_, packed.data());
    return packed;
  }

  struct Stacked {  // one probe block, all points: row i · points + k
    Buffer<float> e, h, a, x;  // h and x extended by a column of ones
  };

  Stacked stack(size_t first, size_t count) const {
    Stacked s{Buffer<float>(count * points_ * labels_), Buffer<float>(count * points_ * width_),
              Buffer<float>(count * points_ * h_), Buffer<float>(count * points_ * width_)};
    for (size_t k = 0; k < points_; k++) {
      const float* x = features_.data() + ((k + 1) * texts_ + first) * h_;
      const HeadRows rows = head_.evaluate(heads_[k], count, x, label_.data() + first, head_.has_dense());
      for (size_t i = 0; i < count; i++) {
        const size_t row = i * points_ + k;
        std::copy(rows.e.data() + i * labels_, rows.e.data() + (i + 1) * labels_, s.e.data() + row * labels_);
        std::copy(rows.h.data() + i * h_, rows.h.data() + (i + 1) * h_, s.h.data() + row * width_);
        std::copy(x + i * h_, x + (i + 1) * h_, s.x.data() + row * width_);
        s.h[row * width_ + h_] = s.x[row * width_ + h_] = 1.0f;
        if (head_.has_dense()) std::copy(rows.a.data() + i * h_, rows.a.data() + (i + 1) * h_, s.a.data() + row * h_);
      }
    }
    return s;
  }

  void probe_block(size_t first, size_t count, const std::vector<Buffer<float>>& head_with,
                   const std::vector<Buffer<float>>& top_with, GradientStatistics* out) const {
    const Stacked s = stack(first, count);
    const size_t stride = domains_ + 2;
    for (size_t d = 0; d <= domains_; d++) {
      const std::vector<double> head = products(count, s.e, labels_, s.h, head_with[d]);
      const std::vector<double> top =
          head_.has_dense() ? products(count, s.a, h_, s.x, top_with[d]) : std::vector<double>(count);
      for (size_t i = 0; i < count; i++) {
        out[0].per_probe[(first + i) * stride + d] = head[i];
        if (head_.has_dense()) out[1].per_probe[(first + i) * stride + d] = head[i] + top[i];
      }
    }
    for (size_t i = 0; i < count; i++) {
      const double head = norm2(s.e.data() + i * points_ * labels_, labels_, s.h.data() + i * points_ * width_, 0);
      out[0].per_probe[(first + i) * stride + domains_ + 1] = head;
      if (!head_.has_dense()) continue;
      const double top = norm2(s.a.data() + i * points_ * h_, h_, s.x.data() + i * points_ * width_, labels_);
      out[1].per_probe[(first + i) * stride + domains_ + 1] = head + top;
    }
  }

  // Mean over points of leftᵀ M right for each probe; M packed: left_width × (hidden + 1).
  std::vector<double> products(size_t count, const Buffer<float>& left, size_t left_width, const Buffer<float>& right,
                               const Buffer<float>& m) const {
    const Ops& ops = head_.ops();
    const size_t rows = count * points_;
    Buffer<float> y(rows * left_width), scratch(ops.linear_scratch(width_));
    ops.linear(rows, left_width, width_, right.data(), width_, m.data(), nullptr, Activation::kNone, y.data(),
               left_width, scratch.data());
    std::vector<double> sums(count);
    for (size_t row = 0; row < rows; row++) {
      double dot = 0;
      for (size_t j = 0; j < left_width; j++)
        dot += double(left[row * left_width + j]) * double(y[row * left_width + j]);
      sums[row / points_] += dot / double(points_);
    }
    return sums;
  }

  // ‖mean over points of left ⊗ right, divided by u^q‖² of one probe; its rows start at gradient row `first`.
  double norm2(const float* left, size_t left_width, const float* right, size_t first) const {
    Buffer<float> g(left_width * width_), extended(points_ * h_);
    for (size_t k = 0; k < points_; k++)
      std::copy(right + k * width_, right + k * width_ + h_, extended.data() + k * h_);
    outer(points_, left, left_width, extended.data(), float(1.0 / double(points_)), g.data());
    double sum = 0;
    for (size_t at = 0; at < left_width * width_; at++) {
      const double value = double(g[at]) * inverse_[first * width_ + at];
      sum += value * value;
    }
    return sum;
  }

  const Head& head_;
  const Buffer<float>& features_;
  const std::vector<int32_t>&label_, &domain_;
  Threads& threads_;
  Context& context_;
  const size_t texts_, domains_, points_, h_, labels_, rows_, width_;
  std::vector<std::vector<size_t>> members_;
  std::vector<HeadPoint> heads_;
  std::vector<double> delta_;
  Buffer<double> mean_, squares_, inverse_;
};

}  // namespace

std::vector<GradientStatistics> gradient_statistics(const Head& head, const Path& path, const Buffer<float>& features,
                                                    size_t texts, const std::vector<int32_t>& label,
                                                    const std::vector<int32_t>& domain, size_t domains,
                                                    Threads& threads, Context& context) {
  return Gradients(head, path, features, texts, label, domain, domains, threads, context).run();
}

uint64_t gradient_bytes(const Program& program, size_t texts, size_t domains, size_t points, int threads) {
  const bool dense = program.head_plan.has_dense();
  const uint64_t h = program.features(), rows = program.outputs + (dense ? h : 0), elements = rows * (h + 1);
  const uint64_t heads = (points + 2) * (dense ? 2 * h * h : 0) * 4;
  // mean, one point, packed; squares, inverse, δ
  const uint64_t accumulators = elements * (domains * (8 + 4 + 4) + 8 * 3);
  const uint64_t worker = std::max<uint64_t>(kProbeBlock * points * h * 4 * 6 + elements * 8, texts * h * 4 * 6);
  const uint64_t statistics = texts * (domains + 2) * 8 * 4;
  return heads + accumulators + uint64_t(threads) * worker + statistics;
}

}  // namespace warp
