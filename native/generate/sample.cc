#include "generate/sample.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace warp {
namespace {

Error logits_not_finite() {
  return Error(Kind::kInput, "LOGITS_NOT_FINITE", "the logits of a token that was to be chosen are not finite",
               "a --lambda nearer to [0, 1], a smaller --contrast, or check the weights with `warp inspect`");
}

float largest(size_t size, const float* z) {
  float top = z[0];
  for (size_t i = 1; i < size; i++) top = z[i] > top ? z[i] : top;
  return top;
}

}  // namespace

double log_sum(size_t size, const float* z) {
  const double top = largest(size, z);
  double total = 0;
  for (size_t i = 0; i < size; i++) total += std::exp(double(z[i]) - top);
  if (!std::isfinite(total) || !std::isfinite(top)) throw logits_not_finite();
  return top + std::log(total);
}

Sampler::Sampler(const SampleOptions& options, size_t vocabulary) : o_(options), size_(vocabulary) {
  exps_.reserve(vocabulary);
  candidates_.reserve(vocabulary);
}

Sampled Sampler::sample(const float* z, const float* base, double uniform) {
  const double top = largest(size_, z);
  double total = 0;
  exps_.resize(size_);
  for (size_t i = 0; i < size_; i++) total += exps_[i] = std::exp(double(z[i]) - top);
  if (!std::isfinite(total) || !std::isfinite(top)) throw logits_not_finite();
  Sampled out;
  const bool all = !base && o_.temperature > 0 && (o_.top_k == 0 || o_.top_k >= size_) && o_.top_p >= 1;
  if (all && o_.temperature == 1) {  // the weights are there already
    const double goal = uniform * total;
    double sum = 0;
    for (size_t i = 0; i < size_; i++) {
      if (exps_[i] > 0) out.token = uint32_t(i);
      if ((sum += exps_[i]) > goal) break;
    }
  } else {
    find_candidates(z, base, top);
    if (o_.temperature == 0) {
      out.token = std::min_element(candidates_.begin(), candidates_.end())->id;
    } else {
      keep_largest();
      double highest = candidates_[0].score;
      for (const Candidate& c : candidates_) highest = std::max(highest, c.score);
      for (Candidate& c : candidates_) c.weight = std::exp((c.score - highest) / o_.temperature);
      keep_mass();
      out.token = draw(uniform);
    }
  }
  out.log_probability = double(z[out.token]) - top - std::log(total);
  if (base) out.base_log_probability = double(base[out.token]) - log_sum(size_, base);
  return out;
}

void Sampler::find_candidates(const float* z, const float* base, double top) {
  candidates_.clear();
  const double least = base && o_.floor > 0 ? top + std::log(o_.floor) : -HUGE_VAL;
  for (size_t i = 0; i < size_; i++) {
    const double own = z[i];
    if (own < least) continue;
    const double score = base ? own + o_.contrast * (own - double(base[i])) : own;
    if (std::isnan(score) || score == HUGE_VAL) throw logits_not_finite();
    candidates_.push_back({score, 0, uint32_t(i)});
  }
}

// The first top_k in order.
void Sampler::keep_largest() {
  if (o_.top_k == 0 || o_.top_k >= candidates_.size()) return;
  const auto end = candidates_.begin() + long(o_.top_k);
  std::make_heap(candidates_.begin(), end);  // the last in order is on top
  for (auto next = end; next != candidates_.end(); ++next) {
    if (!(*next < candidates_.front())) continue;
    std::pop_heap(candidates_.begin(), end);
    *(end - 1) = *next;
    std::push_heap(candidates_.begin(), end);
  }
  candidates_.erase(end, candidates_.end());
}

// Of the kept ones the fewest, in order, with top_p of their weight. Those below (1 − top_p) / count of it have
// together less than 1 − top_p: they are never among these.
void Sampler::keep_mass() {
  if (o_.top_p >= 1) return;
  double total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  const double least = (1 - o_.top_p) * total / double(candidates_.size()) * (1 - 1e-9);
  candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(),
                                   [&](const Candidate& c) { return c.weight < least; }),
                    candidates_.end());
  std::sort(candidates_.begin(), candidates_.end());
  double sum = 0;
  size_t count = 0;
  while (count < candidates_.size() && (count == 0 || sum < o_.top_p * total)) sum += candidates_[count++].weight;
  candidates_.erase(candidates_.begin() + long(count), candidates_.end());
}

uint32_t Sampler::draw(double uniform) {
  if (o_.top_k > 0 || o_.top_p < 1)
    std::sort(candidates_.begin(), candidates_.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  double total = 0, sum = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  uint32_t token = candidates_[0].id;
  for (const Candidate& c : candidates_) {
    if (c.weight > 0) token = c.id;
    if ((sum += c.weight) > uniform * total) break;
  }
  return token;
}

}  // namespace warp
