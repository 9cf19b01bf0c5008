#include "trace/outside.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

constexpr double kSaturated = 30;  // e^-30: a token that is as good as certain to be trained
constexpr double kLeast = 1e-12;   // keeps logarithms finite where nothing explains a trained token

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
  Slope slope{std::vector<double>(n), std::vector<double>(n * n)};
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
    first += rise * total;
    square += bend * total * total;
    for (uint64_t i = counts_.offsets[v]; i < counts_.offsets[v + 1]; i++) {
      const uint32_t d = counts_.entries[i].domain;
      linear[d] += rise * weight_[i];
      mixed[d] += bend * total * weight_[i];
      for (uint64_t j = counts_.offsets[v]; j < counts_.offsets[v + 1]; j++)
        slope.hessian[d * n + counts_.entries[j].domain] += bend * weight_[i] * weight_[j];
    }
  }
  for (size_t d = 0; d < n; d++) {
    slope.gradient[d] = borrow_[d] * first + linear[d] - cost_[d];
    for (size_t e = 0; e < n; e++)
      slope.hessian[d * n + e] += borrow_[d] * borrow_[e] * square + borrow_[d] * mixed[e] + borrow_[e] * mixed[d];
  }
  add_new_tokens(slope);
  return slope;
}

// Z log F - F; the one negative term of its negated curvature is left out, so that every step climbs.
void Outside::add_new_tokens(Slope& slope) const {
  const size_t n = phi.size();
  const double expected = std::max(new_tokens(phi), kLeast);
  std::vector<double> rise(n);  // of F by φ_d
  for (size_t d = 0; d < n; d++) rise[d] = counts_.singletons[d] * std::exp(discount_ * phi[d]);
  for (size_t d = 0; d < n; d++) {
    slope.gradient[d] += (fresh_ / expected - 1) * rise[d];
    slope.hessian[d * n + d] += discount_ * rise[d];
    for (size_t e = 0; e < n; e++) slope.hessian[d * n + e] += fresh_ * rise[d] * rise[e] / (expected * expected);
  }
}

double Outside::maximise(const std::vector<double>& explained) {
  double best = likelihood(phi, explained);
  for (int round = 0; round < 200; round++) {
    const Slope at = slope(explained);
    std::vector<size_t> free;
    for (size_t d = 0; d < phi.size(); d++)
      if (phi[d] > 0 || at.gradient[d] > 0) free.push_back(d);
    const std::vector<double> step = solve(at.hessian, at.gradient, free);
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
