#pragma once
// Which documents: ranked by a score, or chosen one after the other so that their gradients add up to the direction.
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "select/candidates.h"

namespace warp {

// What all strategies are told of the documents. Ties go to the earlier document everywhere.
struct Choice {
  std::vector<uint8_t> allowed;  // by document
  std::vector<uint32_t> group, quota;  // group of each document, how many of each may be chosen; empty: no groups
  size_t count = 0;
};

// The `count` allowed documents with the highest scores, best first; fewer where quotas or documents end.
std::vector<uint32_t> rank(const std::vector<double>& score, const Choice& choice);

struct Picks {
  std::vector<uint32_t> document;
  std::vector<double> cosine;  // of the sum with the direction, once it was added
  uint64_t passes = 0;         // over all documents
};

// How many documents and picks `greedy` deals with at a time; its picks do not depend on it.
struct Tries {
  size_t few = 4096;             // documents that are all looked at for every pick
  size_t share = 8;              // of more of them, picks are tried from one in so many
  size_t least = 32, most = 128; // picks that are tried at a time
  size_t stale = 1024;           // picks whose products are added up in single precision
};

// Each time the document whose addition makes the sum of −g most parallel to the direction; along: ⟨−g_i, v⟩ / ‖v‖,
// norm2: ‖g_i‖². Exact: picks are tried among a few documents and stand only where no other one can be better, so they
// are those of the loop over all. After every `batch` picks (0: never) the sum starts from nothing. The same bits for
// any number of threads. Progress counts picks.
Picks greedy(Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
             const Choice& choice, size_t batch, Threads& threads, Context& context, const Tries& tries = {});

// w ≥ 0 that minimise ‖v/‖v‖ + Σ w_i g_i‖², by coordinate descent in the order of the documents until a sweep changes
// the objective by less than `tolerance`, or `sweeps` are done. Progress counts sweeps.
std::vector<double> matching(Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
                             const std::vector<uint8_t>& allowed, size_t sweeps, double tolerance, Context& context);

}  // namespace warp
