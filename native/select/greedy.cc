#include <algorithm>
#include <cmath>

#include "select/strategies.h"

namespace warp {
namespace {

constexpr size_t kBlock = 512;  // documents that one worker looks at

struct Best {
  double cosine = -INFINITY;
  size_t document = size_t(-1);
  bool beats(const Best& other) const {
    return cosine > other.cosine || (cosine == other.cosine && document < other.document);
  }
};

// The sum G of what was picked, split into the part along the direction and the rest R: of a document only its product
// with R is unknown, and since it was last looked at that has changed by no more than how far R has gone since then
// times the length of the document's own rest (Cauchy and Schwarz).
class Greedy {
 public:
  Greedy(const Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
         const Choice& choice, Threads& threads)
      : candidates_(candidates), along_(along), norm2_(norm2), choice_(choice), threads_(threads),
        seen_(along.size(), 0), product_(along.size(), 0.0), rest_(along.size()), open_(choice.allowed),
        left_(choice.quota) {
    for (size_t i = 0; i < along.size(); i++) rest_[i] = std::sqrt(std::max(0.0, norm2[i] - along[i] * along[i]));
  }

  void reset() {
    picked_.clear();
    sum_along_ = sum_norm2_ = 0;
    std::fill(seen_.begin(), seen_.end(), 0);
    std::fill(product_.begin(), product_.end(), 0.0);
    at_along_.assign(1, 0.0);
    at_norm2_.assign(1, 0.0);
    with_.assign(1, 0.0);
    gone_.assign(1, 0.0);
  }

  // The next pick; false: none is left.
  bool step(Picks& picks) {
    const size_t blocks = (along_.size() + kBlock - 1) / kBlock;
    std::vector<Best> bests(blocks);
    std::vector<uint64_t> looks(blocks, 0);
    Best floor;  // a document that a quick look says is good: most others then need none
    size_t likely = size_t(-1);
    double high = -INFINITY;
    for (size_t i = 0; i < along_.size(); i++) {
      if (!open(i)) continue;
      const double b = bound(i);
      if (b > high || likely == size_t(-1)) {
        high = b;
        likely = i;
      }
    }
    if (likely == size_t(-1)) return false;
    floor = {look(likely, looks[0]), likely};
    threads_.parallel(blocks, [&](size_t block, int) {
      Best best = floor;
      const size_t end = std::min(along_.size(), (block + 1) * kBlock);
      for (size_t i = block * kBlock; i < end; i++) {
        if (!open(i) || bound(i) < best.cosine) continue;
        const Best here{look(i, looks[block]), i};
        if (here.beats(best)) best = here;
      }
      bests[block] = best;
    });
    Best best = floor;
    for (const Best& one : bests)
      if (one.beats(best)) best = one;
    for (uint64_t n : looks) picks.looks += n;
    take(best, picks);
    return true;
  }

 private:
  bool open(size_t i) const { return open_[i] && (left_.empty() || left_[choice_.group[i]] > 0); }

  static double cosine(double along, double norm2) { return norm2 > 0 ? along / std::sqrt(norm2) : -1; }

  // No less than the cosine with document i; rounding is allowed for.
  double bound(size_t i) const {
    const double known = product_[i] + (sum_along_ - at_along_[seen_[i]]) * along_[i];
    const double open = gone_[seen_[i]] * rest_[i], least = known - open;
    const double numerator = sum_along_ + along_[i];
    const double slack = 1e-12 * (sum_norm2_ + norm2_[i]);
    const double smallest = std::max(sum_norm2_ + 2 * least + norm2_[i] - slack, numerator * numerator);
    if (numerator <= 0) {  // then the longest sum is the best one
      return cosine(numerator, sum_norm2_ + 2 * (known + open) + norm2_[i] + slack) + 1e-12;
    }
    return numerator / std::sqrt(smallest) + 1e-12;
  }

  // The cosine with document i, whose product with the sum is brought up to date.
  double look(size_t i, uint64_t& looks) {
    looks++;
    for (; seen_[i] < picked_.size(); seen_[i]++) product_[i] += candidates_.product(i, picked_[seen_[i]]);
    return cosine(sum_along_ + along_[i], sum_norm2_ + 2 * product_[i] + norm2_[i]);
  }

  void take(const Best& best, Picks& picks) {
    const size_t i = best.document;
    picks.document.push_back(uint32_t(i));
    picks.cosine.push_back(best.cosine);
    sum_norm2_ += 2 * product_[i] + norm2_[i];
    sum_along_ += along_[i];
    follow(i);
    picked_.push_back(uint32_t(i));
    open_[i] = 0;
    if (!left_.empty()) left_[choice_.group[i]]--;
  }

  // How far R has gone since each earlier sum G_s: ‖R − R_s‖² = ‖G − G_s‖² − (along − along_s)², where ⟨G, G_s⟩ grows
  // by the new pick's products with the first s picks.
  void follow(size_t i) {
    std::vector<double> own(picked_.size());
    constexpr size_t kSome = 256;
    threads_.parallel((own.size() + kSome - 1) / kSome, [&](size_t task, int) {
      for (size_t s = task * kSome; s < std::min(own.size(), (task + 1) * kSome); s++)
        own[s] = candidates_.product(i, picked_[s]);
    });
    double first = 0;  // of the picks before s
    for (size_t s = 0; s < with_.size(); s++) {
      with_[s] += first;
      if (s < own.size()) first += own[s];
      const double along = sum_along_ - at_along_[s];
      const double apart2 = sum_norm2_ - 2 * with_[s] + at_norm2_[s] - along * along;
      gone_[s] = std::sqrt(std::max(0.0, apart2) + 1e-12 * (sum_norm2_ + at_norm2_[s]));
    }
    at_along_.push_back(sum_along_);
    at_norm2_.push_back(sum_norm2_);
    with_.push_back(sum_norm2_);
    gone_.push_back(0);
  }

  const Candidates& candidates_;
  const std::vector<double>&along_, &norm2_;
  const Choice& choice_;
  Threads& threads_;
  std::vector<uint32_t> picked_;
  double sum_along_ = 0, sum_norm2_ = 0;
  std::vector<uint32_t> seen_;    // picks whose products are in product_
  std::vector<double> product_, rest_;
  // of the sum of the first s picks: its part along the direction, ‖G_s‖², ⟨G, G_s⟩, ‖R − R_s‖
  std::vector<double> at_along_{0}, at_norm2_{0}, with_{0}, gone_{0};
  std::vector<uint8_t> open_;
  std::vector<uint32_t> left_;
};

}  // namespace

std::vector<uint32_t> rank(const std::vector<double>& score, const Choice& choice) {
  std::vector<uint32_t> order;
  for (size_t i = 0; i < score.size(); i++)
    if (choice.allowed[i]) order.push_back(uint32_t(i));
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return score[a] > score[b] || (score[a] == score[b] && a < b); });
  if (choice.quota.empty()) {
    order.resize(std::min(order.size(), choice.count));
    return order;
  }
  std::vector<uint32_t> left = choice.quota, picked;
  for (uint32_t i : order) {
    if (picked.size() == choice.count) break;
    uint32_t& room = left[choice.group[i]];
    if (room == 0) continue;
    room--;
    picked.push_back(i);
  }
  return picked;
}

Picks greedy(const Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
             const Choice& choice, size_t batch, Threads& threads, Context& context) {
  Greedy state(candidates, along, norm2, choice, threads);
  Picks picks;
  while (picks.document.size() < choice.count) {
    if (batch > 0 && !picks.document.empty() && picks.document.size() % batch == 0) state.reset();
    if (!state.step(picks)) break;
    context.progress(double(picks.document.size()), double(choice.count));
  }
  return picks;
}

std::vector<double> matching(const Candidates& candidates, const std::vector<double>& along,
                             const std::vector<double>& norm2, const std::vector<uint8_t>& allowed, size_t sweeps,
                             double tolerance, Context& context) {
  std::vector<double> weight(along.size(), 0.0), sum(candidates.size(), 0.0);
  for (size_t sweep = 0; sweep < sweeps; sweep++) {
    double gain = 0;
    for (size_t i = 0; i < along.size(); i++) {
      if (!allowed[i] || norm2[i] == 0) continue;
      if (i % kBlock == 0) context.check();
      const double pull = along[i] - candidates.against(sum.data(), i);
      const double next = std::max(0.0, weight[i] + pull / norm2[i]), step = next - weight[i];
      if (step == 0) continue;
      candidates.add(sum.data(), i, step);
      gain += step * (2 * pull - step * norm2[i]);
      weight[i] = next;
    }
    context.progress(double(sweep + 1), double(sweeps));
    if (gain < tolerance) break;
  }
  return weight;
}

}  // namespace warp
