#include "trace/outside.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

constexpr double kSaturated = 30;  // e^-30: a token that is as good as certain to be trained
constexpr double kLeast = 1e-12;   // keeps logarithms finite where nothing explains a trained token
constexpr size_t kFew = 64;        // domains whose curvature is held as a matrix, and solved directly

// Solves (A + ridge) x = b on the free coordinates by Cholesky; A is D × D, positive semidefinite.
std::vector<double> solve(const std::vector<double>& a, const std::vector<double>& b, const std::vector<size_t>& free) {
  const size_t n = free.size(), stride = b.size();
  std::vector<double> factor(n * n), x(n);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = a[free[i] * stride + free[j]] + (i == j ? 1e-9 * a[free[i] * stride + free[i]] + 1e-12 : 0);
      for (size_t k = 0; k < j; k++) sum -= factor[i * n + k] * factor[j * n + k];
      factor[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / factor[j * n + j];
    }
  for (size_t i = 0; i < n; i++) {
    double sum = b[free[i]];
    for (size_t k = 0; k < i; k++) sum -= factor[i * n + k] * x[k];
    x[i] = sum / factor[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; k++) x[i] -= factor[k * n + i] * x[k];
    x[i] /= factor[i * n + i];
  }
  return x;
}

}  // namespace

Outside::Outside(const Counts& counts, const std::vector<uint8_t>& state, double strength,
                 const std::vector<double>& pull)
    : phi(counts.texts.size(), 0.05), counts_(counts), strength_(strength), borrow_(phi.size()),
      weight_(counts.entries.size()), cost_(phi.size()) {
  for (size_t d = 0; d < phi.size(); d++) {
    const double others = counts.all - counts.texts[d];
    borrow_[d] = others > 0 ? strength / others : 0;
  }
  const double once = double(std::count(counts.total.begin(), counts.total.end(), 1u)),
               twice = double(std::count(counts.total.begin(), counts.total.end(), 2u));
  if (once > 0) discount_ = once / (once + 2 * twice);
  const bool graded = !pull.empty();
  if (graded) pull_ = &pull;
  double untrained = 0;
  for (uint32_t v = 0; v < counts.total.size(); v++) {
    const uint8_t is = graded ? uint8_t(kUnknown) : state[v];
    if (is == kTrained && counts.total[v] == 0) fresh_++;
    if ((is == kTrained || (graded && pull[v] != 0)) && counts.total[v] > 0) trained_.push_back(v);
    if (graded && pull[v] != 0 && counts.total[v] == 0) absent_.push_back(v);
    if (is == kUntrained) untrained += counts.total[v];
    for (uint64_t i = counts.offsets[v]; i < counts.offsets[v + 1]; i++) {
      const Counts::Entry& entry = counts.entries[i];
      if (entry.texts == 0) continue;
      weight_[i] = entry.texts * (1 - borrow_[entry.domain]) - (entry.texts == counts.total[v] ? discount_ : 0);
      if (is == kUntrained) cost_[entry.domain] += weight_[i];
    }
  }
  for (size_t d = 0; d < phi.size(); d++) cost_[d] += borrow_[d] * untrained;
  chance_.assign(trained_.size(), 1.0);
}

void Outside::weigh(const std::vector<double>& explained) {
  if (!pull_) return;
  const double common = shared(phi);
  std::fill(cost_.begin(), cost_.end(), 0.0);
  double untrained = 0;
  for (size_t k = 0; k < trained_.size(); k++) {
    const uint32_t v = trained_[k];
    const double silent = std::exp(-explained[v] - exposure(v, phi, common)), there = 1 - silent;
    const double idle = silent * (1 - (*pull_)[v]);  // against `there`: how it looks if it is untrained
    chance_[k] = there + idle > 0 ? there / (there + idle) : 0;
    untrained += (1 - chance_[k]) * counts_.total[v];
    for (uint64_t i = counts_.offsets[v]; i < counts_.offsets[v + 1]; i++)
      cost_[counts_.entries[i].domain] += (1 - chance_[k]) * weight_[i];
  }
  for (size_t d = 0; d < phi.size(); d++) cost_[d] += borrow_[d] * untrained;
  fresh_ = 0;
  if (absent_.empty()) return;
  const double before = std::clamp(new_tokens(phi) / double(absent_.size()), kLeast, 0.5);
  for (uint32_t v : absent_) fresh_ += before / (before + (1 - before) * (1 - (*pull_)[v]));
}

double Outside::texts(uint32_t domain) const { return std::expm1(phi[domain]) * (counts_.texts[domain] + strength_); }

double Outside::shared(const std::vector<double>& at) const {
  double sum = 0;
  for (size_t d = 0; d < at.size(); d++) sum += borrow_[d] * at[d];
  return sum;
}

double Outside::new_tokens(const std::vector<double>& at) const {
  double sum = 0;
  for (size_t d = 0; d < at.size(); d++)
    if (counts_.singletons[d] > 0) sum += counts_.singletons[d] * std::expm1(discount_ * at[d]) / discount_;
  return sum;
}

double Outside::exposure(uint32_t token, const std::vector<double>& at, double shared) const {
  double sum = counts_.total[token] * shared;
  for (uint64_t i = counts_.offsets[token]; i < counts_.offsets[token + 1]; i++)
    sum += weight_[i] * at[counts_.entries[i].domain];
  return sum;
}

std::vector<double> Outside::exposures() const {
  const double common = shared(phi);
  std::vector<double> exposures(counts_.total.size());
  for (uint32_t v = 0; v < exposures.size(); v++) exposures[v] = exposure(v, phi, common);
  return exposures;
}

double Outside::likelihood(const std::vector<double>& at, const std::vector<double>& explained) const {
  const double common = shared(at);
  const double expected = new_tokens(at);
  double sum = -expected;
  for (size_t k = 0; k < trained_.size(); k++) {
    const uint32_t v = trained_[k];
    const double x = explained[v] + exposure(v, at, common);
    if (x < kSaturated) sum += chance_[k] * std::log(-std::expm1(-std::max(x, kLeast)));
  }
  for (size_t d = 0; d < at.size(); d++) sum -= cost_[d] * at[d];
  return fresh_ > 0 ? sum + fresh_ * std::log(std::max(expected, kLeast)) : sum;
}

Outside::Slope Outside::slope(const std::vector<double>& explained) const {
  const size_t n = phi.size();
  const double common = shared(phi);
  const bool few = n <= kFew;
  Slope slope;
  slope.gradient.resize(n);
  if (few) slope.hessian.resize(n * n);
  else slope.bend.resize(trained_.size());
  std::vector<double> own(n);  // Σ bend weight²
  // a_dv = total_v borrow_d + weight_dv; sums of slope × total, slope × weight, curvature × …
  double first = 0, square = 0;
  std::vector<double> linear(n), mixed(n);
  for (size_t k = 0; k < trained_.size(); k++) {
    const uint32_t v = trained_[k];
    const double x = std::max(explained[v] + exposure(v, phi, common), kLeast);
    if (x > kSaturated) continue;
    const double gone = std::exp(-x), there = -std::expm1(-x);
    const double rise = chance_[k] * gone / there, bend = chance_[k] * gone / (there * there);
    const double total = counts_.total[v];
    if (!few) slope.bend[k] = bend;
    first += rise * total;
    square += bend * total * total;
    for (uint64_t i = counts_.offsets[v]; i < counts_.offsets[v + 1]; i++) {
      const uint32_t d = counts_.entries[i].domain;
      linear[d] += rise * weight_[i];
      mixed[d] += bend * total * weight_[i];
      own[d] += bend * weight_[i] * weight_[i];
      if (!few) continue;
      for (uint64_t j = counts_.offsets[v]; j < counts_.offsets[v + 1]; j++)
        slope.hessian[d * n + counts_.entries[j].domain] += bend * weight_[i] * weight_[j];
    }
  }
  for (size_t d = 0; d < n; d++) {
    slope.gradient[d] = borrow_[d] * first + linear[d] - cost_[d];
    for (size_t e = 0; few && e < n; e++)
      slope.hessian[d * n + e] += borrow_[d] * borrow_[e] * square + borrow_[d] * mixed[e] + borrow_[e] * mixed[d];
  }
  if (!few) {
    slope.diagonal.resize(n);
    for (size_t d = 0; d < n; d++)
      slope.diagonal[d] = borrow_[d] * borrow_[d] * square + 2 * borrow_[d] * mixed[d] + own[d];
  }
  add_new_tokens(slope);
  return slope;
}

// Z log F - F; the one negative term of its negated curvature is left out, so that every step climbs.
void Outside::add_new_tokens(Slope& slope) const {
  const size_t n = phi.size();
  const double expected = std::max(new_tokens(phi), kLeast);
  std::vector<double>& rise = slope.rise;
  rise.resize(n);
  slope.fresh_curvature = fresh_ / (expected * expected);
  for (size_t d = 0; d < n; d++) rise[d] = counts_.singletons[d] * std::exp(discount_ * phi[d]);
  for (size_t d = 0; d < n; d++) {
    slope.gradient[d] += (fresh_ / expected - 1) * rise[d];
    if (slope.hessian.empty()) {
      slope.diagonal[d] += discount_ * rise[d] + slope.fresh_curvature * rise[d] * rise[d];
      continue;
    }
    slope.hessian[d * n + d] += discount_ * rise[d];
    for (size_t e = 0; e < n; e++) slope.hessian[d * n + e] += fresh_ * rise[d] * rise[e] / (expected * expected);
  }
}

std::vector<double> Outside::times(const Slope& slope, const std::vector<double>& x) const {
  const size_t n = x.size();
  std::vector<double> y(n);
  double common = 0, fresh = 0, shared_part = 0;  // Σ bend total (a_v · x), which every domain borrows from
  for (size_t d = 0; d < n; d++) {
    common += borrow_[d] * x[d];
    fresh += slope.rise[d] * x[d];
  }
  for (size_t k = 0; k < trained_.size(); k++) {
    if (slope.bend[k] == 0) continue;
    const uint32_t v = trained_[k];
    const double along = slope.bend[k] * exposure(v, x, common), total = counts_.total[v];
    shared_part += along * total;
    for (uint64_t i = counts_.offsets[v]; i < counts_.offsets[v + 1]; i++)
      y[counts_.entries[i].domain] += along * weight_[i];
  }
  for (size_t d = 0; d < n; d++)
    y[d] += borrow_[d] * shared_part + discount_ * slope.rise[d] * x[d] + slope.fresh_curvature * slope.rise[d] * fresh;
  return y;
}

// Preconditioned by the diagonal; from 0, so that it climbs wherever it is stopped.
std::vector<double> Outside::solve_many(const Slope& slope, const std::vector<size_t>& free,
                                        const Context& context) const {
  constexpr int kMost = 60;
  constexpr double kSmall = 1e-6;  // of the squared residual: the next step sees to the rest
  const size_t m = free.size();
  std::vector<double> x(m), r(m), z(m), p(m), full(phi.size());
  const auto ridge = [&](size_t d) { return 1e-9 * slope.diagonal[d] + 1e-12; };
  double rz = 0;
  for (size_t i = 0; i < m; i++) {
    r[i] = slope.gradient[free[i]];
    p[i] = z[i] = r[i] / (slope.diagonal[free[i]] + ridge(free[i]));
    rz += r[i] * z[i];
  }
  const double first = rz;
  for (int round = 0; round < kMost && rz > kSmall * first; round++) {
    context.check();
    for (size_t i = 0; i < m; i++) full[free[i]] = p[i];
    const std::vector<double> product = times(slope, full);
    double curvature = 0;
    for (size_t i = 0; i < m; i++) curvature += p[i] * (product[free[i]] + ridge(free[i]) * p[i]);
    if (!(curvature > 0)) break;
    const double length = rz / curvature;
    double next = 0;
    for (size_t i = 0; i < m; i++) {
      x[i] += length * p[i];
      r[i] -= length * (product[free[i]] + ridge(free[i]) * p[i]);
      z[i] = r[i] / (slope.diagonal[free[i]] + ridge(free[i]));
      next += r[i] * z[i];
    }
    for (size_t i = 0; i < m; i++) p[i] = z[i] + next / rz * p[i];
    rz = next;
  }
  return x;
}

double Outside::maximise(const std::vector<double>& explained, const Context& context) {
  double best = likelihood(phi, explained);
  for (int round = 0; round < 200; round++) {
    context.check();
    const Slope at = slope(explained);
    std::vector<size_t> free;
    for (size_t d = 0; d < phi.size(); d++)
      if (phi[d] > 0 || at.gradient[d] > 0) free.push_back(d);
    const std::vector<double> step =
        at.hessian.empty() ? solve_many(at, free, context) : solve(at.hessian, at.gradient, free);
    double gain = 0;
    std::vector<double> next;
    for (double scale = 1; scale > 1e-12 && !(gain > 0); scale /= 2) {
      next = phi;
      for (size_t i = 0; i < free.size(); i++) next[free[i]] = std::max(0.0, phi[free[i]] + scale * step[i]);
      gain = likelihood(next, explained) - best;
    }
    if (!(gain > 0)) break;
    phi = next;
    best += gain;
    if (gain < 1e-7) break;
  }
  return best;
}

}  // namespace warp
