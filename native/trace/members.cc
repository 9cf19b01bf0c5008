#include "trace/members.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <string>

#include "core/error.h"
#include "core/random.h"

namespace warp {
namespace {

constexpr double kCertain = 1 - 1e-6;  // the largest probability: keeps log(1 - r) and 1 / (1 - r) finite
constexpr int kMostRounds = 200, kSweeps = 3;
constexpr double kTolerance = 3e-4;  // of the number of texts, from one round to the next

class MeanField {
 public:
  MeanField(const Pool& pool, const Counts& counts, const std::vector<uint32_t>& survivors, const Tokens& tokens)
      : probability(survivors.size(), 0.0), explained(tokens.size(), 0.0), pool_(pool), counts_(counts),
        survivors_(survivors), share_(counts.texts.size(), 0.05), pull_(tokens.graded() ? tokens.pull.data() : nullptr),
        silent_(tokens.size(), 0.0) {
    // only tokens known to be trained say anything: the survivors' own, rows one after the other
    offsets_.push_back(0);
    for (uint32_t text : survivors) {
      for (const uint32_t* v = pool.begin(text); v != pool.end(text); v++)
        if (tokens.graded() ? tokens.pull[*v] != 0 : tokens.state[*v] == Outside::kTrained) tokens_.push_back(*v);
      offsets_.push_back(tokens_.size());
    }
  }

  // From the outside texts as they stand: sweeps in which each text sees the others' newest values (Gauss-Seidel).
  void round(const Outside& outside, int sweeps) {
    const std::vector<double> exposures = outside.exposures();
    for (size_t v = 0; v < silent_.size(); v++)
      if (counts_.total[v] > 0) silent_[v] = std::exp(-exposures[v] - explained[v]);
    for (int i = 0; i < sweeps; i++) {
      sweep();
      set_share(inside());
    }
    explain();
  }

  std::vector<double> inside() const {
    std::vector<double> sum(share_.size(), 0);
    for (size_t j = 0; j < survivors_.size(); j++) sum[pool_.domain(survivors_[j])] += probability[j];
    return sum;
  }

  void start(const std::vector<double>& from) {
    probability = from;
    set_share(inside());
    explain();
  }

  std::vector<double> probability;  // survivors: r_j
  std::vector<double> explained;    // tokens: -Σ log(1 - r_i) over the survivors that hold it

 private:
  void sweep() {
    if (pull_) sweep_by([pull = pull_](uint32_t v) { return pull[v]; });
    else sweep_by([](uint32_t) { return 1.0; });
  }

  template <class Pull>
  void sweep_by(Pull pull) {
    for (size_t j = 0; j < survivors_.size(); j++) {
      const uint32_t* const begin = tokens_.data() + offsets_[j];
      const uint32_t* const end = tokens_.data() + offsets_[j + 1];
      const double absent = 1 - probability[j], back = 1 / absent;
      double others = 1;  // P(every token of the text is trained without it)
      for (const uint32_t* v = begin; v != end; v++) others *= 1 - pull(*v) * std::min(1.0, silent_[*v] * back);
      const double t = share_[pool_.domain(survivors_[j])];
      probability[j] = std::min(kCertain, t / (t + (1 - t) * others));
      const double change = (1 - probability[j]) * back;
      for (const uint32_t* v = begin; v != end; v++) silent_[*v] *= change;
    }
  }

  void explain() {
    std::fill(explained.begin(), explained.end(), 0);
    for (size_t j = 0; j < survivors_.size(); j++) {
      const double absent = -std::log1p(-probability[j]);
      for (uint64_t i = offsets_[j]; i < offsets_[j + 1]; i++) explained[tokens_[i]] += absent;
    }
  }

  void set_share(const std::vector<double>& inside) {
    for (size_t d = 0; d < share_.size(); d++)
      share_[d] = std::clamp((inside[d] + 1e-3) / (counts_.texts[d] + 2e-3), 1e-6, 1 - 1e-6);
  }

  const Pool& pool_;
  const Counts& counts_;
  const std::vector<uint32_t>& survivors_;
  std::vector<uint64_t> offsets_;
  std::vector<uint32_t> tokens_;
  std::vector<double> share_;   // domains: t_d
  const double* pull_;          // tokens; null: all of `tokens_` are trained
  std::vector<double> silent_;  // tokens: e^{-η_v} Π (1 - r_i), 0 once it underflows, made anew each round
};

std::vector<uint32_t> survivors_of(const Pool& pool, const std::vector<uint32_t>& visible, const Tokens& tokens) {
  std::vector<uint32_t> survivors;
  for (uint32_t text : visible)
    if (std::none_of(pool.begin(text), pool.end(text),
                     [&](uint32_t v) { return tokens.state[v] == Outside::kUntrained; }))
      survivors.push_back(text);
  return survivors;
}

// Where an estimator ended.
struct Fit {
  Estimate estimate;
  std::vector<double> probability, phi;
  bool converged = false;
};

Fit fit(const Pool& pool, const Counts& counts, const std::vector<uint32_t>& survivors, const Tokens& tokens,
        Estimator estimator, const Fit* start, Context& context) {
  Fit found;
  Outside outside(counts, tokens.state, estimator.strength * counts.all / pool.domains(), tokens.pull);
  MeanField field(pool, counts, survivors, tokens);
  if (start) {
    outside.phi = start->phi;
    field.start(start->probability);
  }
  double total = 0;
  for (int round = 0; round < kMostRounds && !found.converged; round++) {
    context.check();
    outside.weigh(field.explained);
    outside.maximise(field.explained, context);
    if (estimator.inside) field.round(outside, kSweeps);
    found.estimate.inside = field.inside();
    found.estimate.outside.clear();
    double now = 0;
    for (uint32_t d = 0; d < pool.domains(); d++) {
      found.estimate.outside.push_back(outside.texts(d));
      now += found.estimate.inside[d] + found.estimate.outside[d];
    }
    found.converged = std::fabs(now - total) <= kTolerance * now;
    total = now;
  }
  found.phi = outside.phi;
  found.probability = std::move(field.probability);
  return found;
}

}  // namespace

Members find_members(const Pool& pool, const std::vector<uint32_t>& visible, const Counts& counts, const Tokens& tokens,
                     const std::vector<Estimator>& estimators, Context& context) {
  Members found;
  found.survivors = survivors_of(pool, visible, tokens);
  Fit last;
  for (size_t i = 0; i < estimators.size(); i++) {
    const bool follows = i > 0 && estimators[i].inside == estimators[i - 1].inside;
    last = fit(pool, counts, found.survivors, tokens, estimators[i], follows ? &last : nullptr, context);
    found.estimates.push_back(last.estimate);
    if (i > 0) continue;
    found.probability = last.probability;
    found.converged = last.converged;
  }
  return found;
}

Members find_members(const Pool& pool, const Tokens& tokens, const std::vector<Estimator>& estimators,
                     Context& context) {
  std::vector<uint32_t> everything(pool.texts());
  std::iota(everything.begin(), everything.end(), 0u);
  return find_members(pool, everything, Counts(pool, everything), tokens, estimators, context);
}

namespace {

// The domain's texts in an order that depends on the seed and the domain only.
std::vector<uint32_t> shuffled(std::vector<uint32_t> texts, uint64_t seed, uint32_t domain) {
  const Random random(seed, "trial/" + std::to_string(domain));
  for (size_t i = 0; i + 1 < texts.size(); i++)
    std::swap(texts[i], texts[i + size_t((uint64_t(random.word(i)) * (texts.size() - i)) >> 32)]);
  return texts;
}

// From who is trained to what scores say of them; states become unknown.
// @param part by token: of the training, when it was met first
void draw_pulls(const std::vector<double>& own, const DrawnScores& scores, const Counts& counts,
                const std::vector<uint32_t>& part, uint64_t seed, Tokens& tokens) {
  const Random random(seed, "trial/scores");
  tokens.pull = own;
  for (size_t v = 0; v < own.size(); v++) {
    if (own[v] == 0 || counts.total[v] == 0) continue;
    const bool trained = tokens.state[v] == Outside::kTrained;
    const size_t size = trained ? scores.trained.size() / scores.parts : scores.untrained.size();
    const double* from = trained ? scores.trained.data() + part[v] * size : scores.untrained.data();
    tokens.pull[v] = from[size_t(uint64_t(random.word(v)) * size >> 32)];
  }
  std::fill(tokens.state.begin(), tokens.state.end(), uint8_t(Outside::kUnknown));
}

}  // namespace

std::vector<Estimate> try_members(const Pool& pool, const Tokens& tokens, const DrawnScores& scores,
                                  const std::vector<Trial>& trials, const std::vector<Estimator>& estimators,
                                  Threads& threads, Context& context) {
  std::vector<std::vector<uint32_t>> by_domain(pool.domains());
  std::vector<uint32_t> everything(pool.texts());
  std::iota(everything.begin(), everything.end(), 0u);
  for (uint32_t text : everything) by_domain[pool.domain(text)].push_back(text);
  const Counts whole(pool, everything);
  std::vector<Estimate> results(trials.size() * estimators.size());
  std::atomic<size_t> done{0};
  threads.parallel(trials.size(), [&](size_t task, int) {
    const Trial& trial = trials[task];
    Counts counts = whole;
    Tokens drawn{std::vector<uint8_t>(tokens.size(), Outside::kUntrained), {}};
    std::vector<uint8_t>& trained = drawn.state;
    if (!tokens.graded())
      for (size_t v = 0; v < tokens.size(); v++)
        if (tokens.state[v] == Outside::kUnknown) trained[v] = Outside::kUnknown;
    std::vector<uint32_t> visible;
    const Random times(trial.seed, "trial/times");
    std::vector<uint32_t> part(tokens.graded() ? tokens.size() : 0, uint32_t(scores.parts) - 1);
    for (uint32_t d = 0; d < pool.domains(); d++) {
      const std::vector<uint32_t> texts = shuffled(by_domain[d], trial.seed, d);
      const size_t outside = trial.outside[d], gone = outside + trial.hidden[d], inside = gone + trial.inside[d];
      if (inside > texts.size()) throw internal_error("a trial larger than its pool");
      for (size_t i = 0; i < texts.size(); i++) {
        const bool member = i < outside || (i >= gone && i < inside);
        if (i < gone) counts.remove(pool, texts[i]);
        else visible.push_back(texts[i]);
        if (!member) continue;
        const uint32_t now = uint32_t(uint64_t(times.word(texts[i])) * scores.parts >> 32);
        for (const uint32_t* v = pool.begin(texts[i]); v != pool.end(texts[i]); v++) {
          if (trained[*v] == Outside::kUntrained) trained[*v] = Outside::kTrained;
          if (!part.empty()) part[*v] = std::min(part[*v], now);
        }
      }
    }
    if (tokens.graded()) draw_pulls(tokens.pull, scores, whole, part, trial.seed, drawn);
    Members found = find_members(pool, visible, counts, drawn, estimators, context);
    std::move(found.estimates.begin(), found.estimates.end(), results.begin() + ptrdiff_t(task * estimators.size()));
    context.progress(double(done += estimators.size()), double(results.size()));
  });
  return results;
}

}  // namespace warp
