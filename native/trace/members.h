#pragma once
// Which texts of a pool were trained on, and how many texts outside it, from the set of trained tokens alone.
#include <cstdint>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "trace/outside.h"
#include "trace/pool.h"

namespace warp {

// How to estimate: with texts of the pool as possible members, or with all training texts outside it.
struct Estimator {
  double strength = 0.15;  // in texts of an average domain
  bool inside = true;
};

struct Estimate {
  std::vector<double> inside, outside;  // texts by domain: Σ probability, w_d
};

// What is known of the tokens: states (Outside::State), or how far scores speak for each (Outside's pull).
struct Tokens {
  std::vector<uint8_t> state;
  std::vector<double> pull;  // empty: states

  size_t size() const { return state.size(); }
  bool graded() const { return !pull.empty(); }
};

struct Members {
  std::vector<uint32_t> survivors;   // texts without an untrained token
  std::vector<double> probability;   // of each survivor, by the first estimator
  bool converged = false;            // the number of texts settled, by the first estimator
  std::vector<Estimate> estimates;   // one for each estimator
};

// Noisy-OR, mean field: c_j = Π_{v∈j} [1 - e^{-η_v} Π_{i≠j, i∋v} (1 - r_i)], r_j = t_d / (t_d + (1 - t_d) c_j),
// t_d the share of members among the visible texts of domain d, w by maximum likelihood given r. One thread.
// visible: the texts that `counts` counts. An estimator starts where the one before it ended if both are of one kind:
// where it ends depends on the list, so estimates are comparable only between equal lists.
Members find_members(const Pool& pool, const std::vector<uint32_t>& visible, const Counts& counts, const Tokens& tokens,
                     const std::vector<Estimator>& estimators, Context& context);

// The same for the whole pool.
Members find_members(const Pool& pool, const Tokens& tokens, const std::vector<Estimator>& estimators,
                     Context& context);

// A training set made up of texts of the pool, to try the estimator on.
struct Trial {
  std::vector<uint32_t> inside, outside;  // its texts by domain: left in the pool, taken out of it
  std::vector<uint32_t> hidden;           // by domain: further texts taken out of the pool
  uint64_t seed = 0;
};

// What scores say of tokens that were not trained and of trained ones: equally likely values of the pull, those of
// trained ones as many for each of some equal parts of the training, the first part first: a row's score goes with the
// time of the first text that trained it. A trial draws the pool's tokens' values from them by its seed, with a time
// for each of its texts; tokens that no text of the pool holds keep their own.
struct DrawnScores {
  std::vector<double> untrained, trained;
  size_t parts = 1;
};

// Each trial by each estimator: result[trial * estimators + i]. `tokens` says which tokens' states are unknown;
// `scores` are used where it has scores. The same bits for any number of threads. Progress counts estimates.
std::vector<Estimate> try_members(const Pool& pool, const Tokens& tokens, const DrawnScores& scores,
                                  const std::vector<Trial>& trials, const std::vector<Estimator>& estimators,
                                  Threads& threads, Context& context);

}  // namespace warp
