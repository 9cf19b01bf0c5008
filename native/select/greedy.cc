#include <algorithm>
#include <cmath>

#include "select/dots.h"
#include "select/strategies.h"
#include "select/subspace.h"

namespace warp {
namespace {

constexpr size_t kBlock = 64;      // screens that one worker takes
constexpr size_t kLandmarks = 64;  // documents that the subspace is made of
constexpr size_t kHot = 8;         // documents that are looked at first
constexpr size_t kAhead = 3;       // looks for which memory is asked before
constexpr size_t kOneByOne = 256;  // rows that are read one by one; more of them: all are streamed

double cosine(double along, double norm2) { return norm2 > 0 ? along / std::sqrt(norm2) : -1; }

// Of a document whose product with the sum G is known but for rounding: the cosine of G + g is between these.
struct Look {
  uint32_t document;
  double low, high;
};

// What one worker found.
struct Found {
  std::vector<Look> looks;
  std::vector<uint32_t> missed;  // are not in memory
  uint64_t count = 0;
};

// Each time the best document is found among those that a bound does not rule out. G and every gradient are split into
// their parts in a subspace, which are known, and the rest: ⟨G, g⟩ has changed, since the document was looked at, by
// what the known parts say and no more than how far the rest of G has gone times the length of the document's rest
// (Cauchy and Schwarz). Looks are in single precision with their error's bound; the choice among documents that these
// leave open is made by ⟨G, g⟩ in double precision, from G itself.
class Greedy {
 public:
  Greedy(Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
         const Choice& choice, Threads& threads, Context& context)
      : candidates_(candidates), along_(along), norm2_(norm2), choice_(choice), threads_(threads), context_(context),
        screens_((along.size() + kScreenLanes - 1) / kScreenLanes), product_(along.size()), open_(choice.allowed),
        left_(choice.quota), sum_(candidates.size()), quick_sum_(candidates.size()) {
    for (size_t i = 0; i < along.size(); i++)
      if (open_[i]) likely_.push_back(uint32_t(i));
    const auto better = [&](uint32_t a, uint32_t b) {
      const double x = cosine(along[a], norm2[a]), y = cosine(along[b], norm2[b]);
      return x > y || (x == y && a < b);
    };
    std::sort(likely_.begin(), likely_.end(), better);
    reset();
    if (likely_.empty()) return;
    std::vector<uint32_t> landmarks;  // half of the best, half of all
    for (size_t k = 0; k < std::min(kLandmarks / 2, likely_.size()); k++) landmarks.push_back(likely_[k]);
    const size_t others = likely_.size() - landmarks.size(), some = std::min(kLandmarks / 2, others);
    for (size_t k = 0; k < some; k++) landmarks.push_back(likely_[landmarks.size() + (others - some) * k / some]);
    for (uint32_t i : landmarks) candidates_.pin(i);
    candidates_.keep(likely_);
    measure(Subspace(candidates_, landmarks));
  }

  void reset() {
    picked_.clear();
    sum_along_ = sum_norm2_ = length_ = 0;
    std::fill(product_.begin(), product_.end(), 0.0);
    std::fill(sum_.begin(), sum_.end(), 0.0);
    std::fill(quick_sum_.begin(), quick_sum_.end(), 0.0f);
    for (ScreenBlock& screen : screens_) {
      std::fill_n(screen.known, kScreenLanes, 0.0f);
      std::fill_n(screen.seen, kScreenLanes, 0u);
    }
    where_.assign(kScreenRank, 0.0);
    gone2_.assign(1, 0.0);
    lengths_.assign(1, 0.0);
    reach_.assign(1, 0.0f);
    hot_.clear();
    next_likely_ = 0;
  }

  // The next pick; false: none is left.
  bool step(Picks& picks) {
    const std::vector<Look> looks = contenders(picks);
    if (looks.empty()) return false;
    Look best{};
    double best_cosine = -INFINITY;
    for (const Look& look : looks) {
      const size_t i = look.document;
      const double t = candidates_.against(sum_.data(), i);
      const double here = cosine(sum_along_ + along_[i], sum_norm2_ + 2 * t + norm2_[i]);
      if (here < best_cosine || (here == best_cosine && i > best.document)) continue;
      best_cosine = here;
      best = look;
      product_[i] = t;
    }
    picks.document.push_back(best.document);
    picks.cosine.push_back(best_cosine);
    take(best.document);
    return true;
  }

 private:
  bool open(size_t i) const { return open_[i] && (left_.empty() || left_[choice_.group[i]] > 0); }
  ScreenBlock& screen_of(size_t i) { return screens_[i / kScreenLanes]; }
  const ScreenBlock& screen_of(size_t i) const { return screens_[i / kScreenLanes]; }

  // What the screens are told of each document once.
  void measure(const Subspace& subspace) {
    error_ = candidates_.quick_error() + 4e-7;
    candidates_.stream([&](size_t first, size_t count) {
      constexpr size_t kSome = 128;
      threads_.parallel((count + kSome - 1) / kSome, [&](size_t task, int) {
        context_.check();
        for (size_t i = first + task * kSome; i < std::min(first + count, first + (task + 1) * kSome); i++) {
          ScreenBlock& screen = screen_of(i);
          const size_t l = i % kScreenLanes;
          double own[kScreenRank];
          subspace.coordinates(i, own);
          const double norm2 = candidates_.product(i, i);
          double rest = norm2;
          for (size_t k = 0; k < kScreenRank; k++) {
            screen.coordinates[k][l] = float(own[k]);
            rest -= own[k] * own[k];
          }
          screen.along[l] = float(along_[i]);
          screen.norm2[l] = float(norm2_[i]);
          screen.length[l] = float(std::sqrt(norm2));
          screen.rest[l] = float(std::sqrt(std::max(0.0, rest) + 1e-9 * norm2));
        }
      });
    });
  }

  // The documents that may be the best, for certain among them the best itself.
  std::vector<Look> contenders(Picks& picks) {
    for (bool fresh = false;; fresh = true) {
      Found first;
      double floor = -INFINITY;
      for (uint32_t i : hot())
        if (fresh || candidates_.resident(i)) floor = std::max(floor, look(i, first).low);
      const size_t blocks = (screens_.size() + kBlock - 1) / kBlock;
      std::vector<Found> found(blocks);
      threads_.parallel(blocks, [&](size_t block, int) { search(block, floor, found[block]); });
      size_t missed = 0;
      for (const Found& one : found) missed += one.missed.size();
      picks.looks += first.count;
      for (const Found& one : found) picks.looks += one.count;
      if (missed > kOneByOne && !fresh) {
        refresh(floor, picks);
        continue;
      }
      std::vector<Look> all;
      for (Found& one : found) {
        for (uint32_t i : one.missed) one.looks.push_back(look(i, one));
        all.insert(all.end(), one.looks.begin(), one.looks.end());
      }
      return keep_best(std::move(all));
    }
  }

  // Some good documents: those that were nearly chosen, or the most promising ones.
  std::vector<uint32_t> hot() {
    std::vector<uint32_t> list;
    for (uint32_t i : hot_)
      if (open(i)) list.push_back(i);
    for (; list.empty() && next_likely_ < likely_.size(); next_likely_++)
      if (open(likely_[next_likely_])) {
        list.push_back(likely_[next_likely_]);
        break;
      }
    return list;
  }

  std::vector<Look> keep_best(std::vector<Look> all) {
    double floor = -INFINITY;
    for (const Look& look : all) floor = std::max(floor, look.low);
    std::sort(all.begin(), all.end(), [](const Look& a, const Look& b) {
      return a.high > b.high || (a.high == b.high && a.document < b.document);
    });
    hot_.clear();
    for (size_t k = 0; k < std::min(kHot, all.size()); k++) hot_.push_back(all[k].document);
    while (!all.empty() && all.back().high < floor) all.pop_back();
    return all;
  }

  ScreenSum screen_sum(double beta) const {
    ScreenSum s{};
    for (size_t k = 0; k < kScreenRank; k++) s.where[k] = float(where_[k]);
    const double root = std::sqrt(std::max(0.0, sum_norm2_));
    s.reach = reach_.data();
    s.norm2 = float(std::max(0.0, sum_norm2_));
    s.root = float(root);
    s.slack = float(error_ * length_ * 1.001);
    if (beta == -INFINITY) {  // nothing is known: all may be the best
      s.gap = -INFINITY;
      return s;
    }
    s.cosine = float(beta);
    // β itself was rounded: the left side's factor of it is the length by which the sum grows, at most ‖g‖
    s.gap = float(beta * root - sum_along_);
    return s;
  }

  void search(size_t block, double floor, Found& found) {
    context_.check();
    const ScreenSum sum = screen_sum(floor);
    std::vector<uint32_t> list;
    float upper[kScreenLanes];
    for (size_t b = block * kBlock; b < std::min(screens_.size(), (block + 1) * kBlock); b++)
      for (uint32_t bits = screen(screens_[b], sum, upper), i = uint32_t(b * kScreenLanes); bits; bits >>= 1, i++) {
        if (!(bits & 1) || i >= along_.size() || !open(i)) continue;
        (candidates_.resident(i) ? list : found.missed).push_back(i);
      }
    for (size_t k = 0; k < list.size(); k++) {
      if (k + kAhead < list.size()) candidates_.expect(list[k + kAhead]);
      const Look here = look(list[k], found);
      if (here.high >= floor) found.looks.push_back(here);
      floor = std::max(floor, here.low);
    }
  }

  // Brings the product with the sum up to date: by those with the picks that it lacks, or by the sum.
  Look look(uint32_t i, Found& found) {
    ScreenBlock& screen = screen_of(i);
    const size_t l = i % kScreenLanes, now = picked_.size();
    if (screen.seen[l] < now) {
      found.count++;
      if ((now - screen.seen[l]) * candidates_.quick_size() * kFormRows < candidates_.size())  // that is faster
        for (size_t s = screen.seen[l]; s < now; s++) product_[i] += candidates_.quick_product(i, picked_[s]);
      else product_[i] = candidates_.quick_against(quick_sum_.data(), i);
      double known = product_[i];
      for (size_t k = 0; k < kScreenRank; k++) known -= double(screen.coordinates[k][l]) * where_[k];
      screen.known[l] = float(known);
      screen.seen[l] = uint32_t(now);
    }
    const double error = error_ * length_ * double(screen.length[l]);
    const double along = sum_along_ + along_[i], norm2 = sum_norm2_ + 2 * product_[i] + norm2_[i];
    const double a = cosine(along, norm2 - 2 * error), b = cosine(along, norm2 + 2 * error);
    if (norm2 - 2 * error <= 0) return {i, -INFINITY, INFINITY};  // nothing is certain
    return {i, std::min(a, b) - 1e-14, std::max(a, b) + 1e-14};
  }

  // Looks at all documents as they come from their file; the best ones stay in memory.
  void refresh(double floor, Picks& picks) {
    const ScreenSum sum = screen_sum(floor);
    std::vector<float> upper(screens_.size() * kScreenLanes);
    for (size_t b = 0; b < screens_.size(); b++) screen(screens_[b], sum, &upper[b * kScreenLanes]);
    std::vector<uint32_t> order;
    for (uint32_t i : likely_)
      if (open_[i]) order.push_back(i);
    const size_t room = std::min(candidates_.room(), order.size());
    std::nth_element(order.begin(), order.begin() + std::ptrdiff_t(room), order.end(),
                     [&](uint32_t a, uint32_t b) { return upper[a] > upper[b] || (upper[a] == upper[b] && a < b); });
    order.resize(room);
    candidates_.keep(std::move(order));
    candidates_.stream([&](size_t first, size_t count) {
      constexpr size_t kSome = 512;
      std::vector<Found> found((count + kSome - 1) / kSome);
      threads_.parallel(found.size(), [&](size_t task, int) {
        context_.check();
        for (size_t i = first + task * kSome; i < std::min(first + count, first + (task + 1) * kSome); i++)
          if (open(i)) look(uint32_t(i), found[task]);
      });
      for (const Found& one : found) picks.looks += one.count;
    });
  }

  void take(size_t i) {
    candidates_.pin(i);
    sum_norm2_ += 2 * product_[i] + norm2_[i];
    sum_along_ += along_[i];
    follow(i);
    picked_.push_back(uint32_t(i));
    candidates_.add(sum_.data(), i, 1);
    std::copy(sum_.begin(), sum_.end(), quick_sum_.begin());
    open_[i] = 0;
    if (!left_.empty()) left_[choice_.group[i]]--;
  }

  // How far the rest of G has gone since each earlier sum G_s: ‖R − R_s‖² grows by 2 ⟨R − R_s, r⟩ + ‖r‖² with the rest
  // r of the new pick, where ⟨G − G_s, g⟩ are its products with the picks since then.
  void follow(size_t i) {
    const ScreenBlock& screen = screen_of(i);
    const size_t l = i % kScreenLanes, now = picked_.size();
    std::vector<double> own(now);
    constexpr size_t kSome = 256;
    threads_.parallel((now + kSome - 1) / kSome, [&](size_t task, int) {
      for (size_t s = task * kSome; s < std::min(now, (task + 1) * kSome); s++)
        own[s] = candidates_.quick_product(i, picked_[s]);
    });
    double since = 0, known = 0;  // products of g with G − G_s; of the parts in the subspace
    const double length = screen.length[l], rest = double(screen.rest[l]) * screen.rest[l];
    for (size_t s = now + 1; s-- > 0;) {
      if (s < now) {
        since += own[s];
        known += parts(i, picked_[s]);
      }
      gone2_[s] += 2 * (since - known) + rest;
      const double path = length_ - lengths_[s] + length;
      reach_[s] = float(1.000001 * std::sqrt(std::max(0.0, gone2_[s]) + 4 * error_ * path * path));
    }
    for (size_t k = 0; k < kScreenRank; k++) where_[k] += screen.coordinates[k][l];
    length_ += length;
    lengths_.push_back(length_);
    gone2_.push_back(0);
    reach_.push_back(0);
  }

  double parts(size_t i, size_t j) const {
    double sum = 0;
    for (size_t k = 0; k < kScreenRank; k++)
      sum +=
          double(screen_of(i).coordinates[k][i % kScreenLanes]) * double(screen_of(j).coordinates[k][j % kScreenLanes]);
    return sum;
  }

  Candidates& candidates_;
  const std::vector<double>&along_, &norm2_;
  const Choice& choice_;
  Threads& threads_;
  Context& context_;
  std::vector<ScreenBlock> screens_;
  std::vector<double> product_;  // ⟨G, g_i⟩ when the document was looked at
  std::vector<uint8_t> open_;
  std::vector<uint32_t> left_, picked_, likely_, hot_;  // likely_: by their own cosine
  size_t next_likely_ = 0;
  double sum_along_ = 0, sum_norm2_ = 0, length_ = 0, error_ = 0;  // length_: Σ ‖g‖ of the picks
  std::vector<double> sum_;
  std::vector<float> quick_sum_;
  std::vector<double> where_, gone2_, lengths_;
  std::vector<float> reach_;
};

}  // namespace

Picks greedy(Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
             const Choice& choice, size_t batch, Threads& threads, Context& context) {
  Greedy state(candidates, along, norm2, choice, threads, context);
  Picks picks;
  while (picks.document.size() < choice.count) {
    if (batch > 0 && !picks.document.empty() && picks.document.size() % batch == 0) state.reset();
    if (!state.step(picks)) break;
    context.progress(double(picks.document.size()), double(choice.count));
  }
  return picks;
}

}  // namespace warp
