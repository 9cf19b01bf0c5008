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

// Noisy-OR, mean field: c_j = Π_{v∈j} [1 - e^{-η_v} Π_{i≠j, i∋v} (1 - r_i)], r_j = t_d / (t_d + (1 - t_d) c_j),
// t_d the share of members among the visible texts of domain d, w by maximum likelihood given r. One thread.
// visible: the texts that `counts` counts; start: an estimate for the same texts and state, or null.
Members find_members(const Pool& pool, const std::vector<uint32_t>& visible, const Counts& counts,
                     const std::vector<uint8_t>& state, double strength, const Members* start, Context& context);

// The same for the whole pool, from nothing.
Members find_members(const Pool& pool, const std::vector<uint8_t>& state, double strength, Context& context);

// A training set made up of texts of the pool, to try the estimator on.
struct Trial {
  std::vector<uint32_t> inside, outside;  // texts by domain: left in the pool, taken out of it
  uint64_t seed = 0;
};
struct TrialResult {
  std::vector<double> inside, outside;  // as estimated, by domain
};

// Estimates of each trial under each strength: result[trial * strengths + i]. `state` says which tokens' states are
// unknown. The same bits for any number of threads. Progress counts estimates.
std::vector<TrialResult> try_members(const Pool& pool, const std::vector<uint8_t>& state, const std::vector<Trial>& trials,
                                     const std::vector<double>& strengths, Threads& threads, Context& context);

}  // namespace warp
