#pragma once
// Do the last tokens of texts look trained? What the pool itself says about how sequences ended in training.
#include <cstdint>
#include <vector>

#include "trace/pool.h"

namespace warp {

// Tokens of texts whose other tokens are all trained, by how many texts hold them: trained and untrained ones, among
// the last tokens and among the others. Rarer tokens are untrained more often, so like is set against like. And the
// tokens of the pool, each once.
struct TailCounts {
  static constexpr int kBins = 24;  // floor(log2(texts)), texts ≥ 1
  double token_trained[kBins] = {}, token_untrained[kBins] = {};
  double tail_trained[kBins] = {}, tail_untrained[kBins] = {};
  double inner_trained[kBins] = {}, inner_untrained[kBins] = {};
};

// state: as Outside::State by token; a text with an unknown token says nothing. One thread.
TailCounts count_tails(const Pool& pool, const std::vector<uint8_t>& state);

}  // namespace warp
