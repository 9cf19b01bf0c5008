#include "scoring/domains.h"

#include <algorithm>
#include <cmath>

namespace warp {

// u of a coordinate, 1 where the metric is plain.
double DomainGradients::preconditioner(const DomainMetric& metric, const DomainSegment& segment, size_t at) const {
  if (metric.shares.empty()) return 1.0;
  const size_t size = delta_.size();
  double mean = 0, square = 0;
  for (size_t d = 0; d < domains_; d++) {
    const auto of = [&](size_t block) { return double(gradient_[(d * blocks_ + block) * size + at]); };
    double own = 0, spread = 0, texts = 0;
    for (size_t b = 0; b < blocks_; b++) {
      own += of(b) / double(blocks_);
      texts += texts_[d * blocks_ + b] / double(blocks_);
    }
    for (size_t b = 0; b < blocks_; b++) spread += (of(b) - own) * (of(b) - own) / double(blocks_ - 1);
    mean += metric.shares[d] * own;
    square += metric.shares[d] * (segment.by_text ? double(square_[d * size + at]) : texts * spread + own * own);
  }
  const double u2 = mean * mean + std::max(0.0, square - mean * mean) / metric.batch;
  return u2 > 0 ? std::sqrt(u2) : 0.0;
}

DomainMoments DomainGradients::moments(const DomainMetric& metric, Threads& threads, Context& context) const {
  const size_t n = domains_ * blocks_, size = delta_.size();
  DomainMoments out;
  out.gram.assign(groups_ * n * n, 0.0);
  out.displacement.assign(groups_ * n, 0.0);
  out.norm2.assign(groups_, 0.0);
  std::vector<std::vector<const DomainSegment*>> of_group(groups_);
  for (const DomainSegment& s : segments_) of_group[s.group].push_back(&s);
  threads.parallel(groups_, [&](size_t group, int) {
    constexpr size_t kStep = 256;
    std::vector<double> scaled(n * kStep), delta(kStep);
    double* gram = out.gram.data() + group * n * n;
    for (const DomainSegment* s : of_group[group])
      for (size_t first = 0; first < s->count; first += kStep) {
        context.check();
        const size_t count = std::min(kStep, s->count - first);
        for (size_t j = 0; j < count; j++) {
          const size_t at = s->first + first + j;
          const double u = preconditioner(metric, *s, at), root = std::sqrt(s->weight);
          // coordinates that no gradient reaches say nothing
          const double g = u > 0 ? std::pow(u, -metric.gram_power / 2) * root : 0;
          const double d = u > 0 ? std::pow(u, metric.gram_power / 2 - metric.displacement_power) * root : 0;
          delta[j] = double(delta_[at]) * d;
          for (size_t i = 0; i < n; i++) scaled[i * kStep + j] = double(gradient_[i * size + at]) * g;
        }
        for (size_t j = 0; j < count; j++) out.norm2[group] += delta[j] * delta[j];
        for (size_t a = 0; a < n; a++) {
          double dot = 0;
          for (size_t j = 0; j < count; j++) dot += scaled[a * kStep + j] * delta[j];
          out.displacement[group * n + a] += dot;
          for (size_t b = 0; b <= a; b++) {
            double product = 0;
            for (size_t j = 0; j < count; j++) product += scaled[a * kStep + j] * scaled[b * kStep + j];
            gram[a * n + b] += product;
          }
        }
      }
    for (size_t a = 0; a < n; a++)
      for (size_t b = 0; b < a; b++) gram[b * n + a] = gram[a * n + b];
  });
  return out;
}

}  // namespace warp
