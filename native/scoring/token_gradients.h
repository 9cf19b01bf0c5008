#pragma once
// Gradients of single tokens' rows of the token table, by reverse mode at one point of a path.
#include <memory>

#include "scoring/pass.h"

namespace warp {

constexpr uint32_t kNoGroup = 0xffffffffu;

struct TokenGradientJob {
  Program program;
  std::shared_ptr<Path> path;
  PackedTexts texts;
  std::vector<int32_t> label;   // classifiers
  std::vector<uint32_t> group;  // by token: whose sum it is added to, or kNoGroup
  size_t groups = 0;
  int point = 0;
  int threads = 1;
  uint64_t memory = 0;
};

// groups × width: Σ over the group's tokens of the gradient of their text's loss. Progress: texts. MEMORY_BUDGET,
// LOSS_NOT_FINITE. The same bits for any threads.
std::vector<float> token_gradients(const TokenGradientJob& job, Context& context);

}  // namespace warp
