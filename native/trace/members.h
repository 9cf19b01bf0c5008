#pragma once
// Which texts of a pool were trained on, and how many texts outside it, from the set of trained tokens alone.
#include <cstdint>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "trace/outside.h"
#include "trace/pool.h"

namespace warp {

struct Members {
  std::vector<uint32_t> survivors;      // texts without an untrained token
  std::vector<double> probability;      // of each survivor
  std::vector<double> phi;              // by domain: log(1 + w_d / (n_d + s))
  std::vector<double> inside, outside;  // texts by domain: Σ probability, w_d
  int rounds = 0;
  bool converged = false;  // the number of texts settled
};

// How to estimate: with texts of the pool as possible members, or with all training texts outside it.
struct Estimator {
  double strength = 300;
  bool inside = true;
};

// Noisy-OR, mean field: c_j = Π_{v∈j} [1 - e^{-η_v} Π_{i≠j, i∋v} (1 - r_i)], r_j = t_d / (t_d + (1 - t_d) c_j),
// t_d the share of members among the visible texts of domain d, w by maximum likelihood given r. One thread.
// visible: the texts that `counts` counts; start: an estimate for the same texts and state, or null.
Members find_members(const Pool& pool, const std::vector<uint32_t>& visible, const Counts& counts,
                     const std::vector<uint8_t>& state, Estimator estimator, const Members* start, Context& context);

// The same for the whole pool, from nothing.
Members find_members(const Pool& pool, const std::vector<uint8_t>& state, Estimator estimator, Context& context);

// A training set made up of texts of the pool, to try the estimator on.
struct Trial {
  std::vector<uint32_t> inside, outside;  // its texts by domain: left in the pool, taken out of it
  std::vector<uint32_t> hidden;           // by domain: further texts taken out of the pool
  uint64_t seed = 0;
};
struct TrialResult {
  std::vector<double> inside, outside;  // as estimated, by domain
};

// Each trial by each estimator: result[trial * estimators + i]. `state` says which tokens' states are unknown.
// The same bits for any number of threads. Progress counts estimates.
std::vector<TrialResult> try_members(const Pool& pool, const std::vector<uint8_t>& state, const std::vector<Trial>& trials,
                                     const std::vector<Estimator>& estimators, Threads& threads, Context& context);

}  // namespace warp
