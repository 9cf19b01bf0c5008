#pragma once
// Texts made token by token: at one point of a path, or from the logits of one against the base's. A text's bits
// depend on its start, the seed and its number alone: not on the other texts, the budget or the threads.
#include <memory>

#include "generate/sample.h"
#include "graph/program.h"
#include "paths/path.h"

namespace warp {

struct GenerateJob {
  Program program;
  std::shared_ptr<Path> path;
  int point = 0;  // of the path
  std::vector<uint32_t> ids, offsets;  // starts, one a text, of at least one token
  size_t new_tokens = 1;
  std::vector<uint32_t> ends;  // tokens that end a text
  SampleOptions sample;
  bool contrastive = false;
  bool base = false;  // log-probabilities of the base too; contrastive sampling has them anyway
  uint64_t seed = 0;
  int threads = 1;
  uint64_t memory = 0;

  size_t texts() const { return offsets.size() - 1; }
  size_t start_length(size_t text) const { return offsets[text + 1] - offsets[text]; }
  // Most tokens of a text.
  size_t longest() const;
};

// What lib has promised; a broken promise is our bug, not the user's.
void check_generate(const GenerateJob& job);

struct GeneratePlan {
  uint64_t peak_bytes = 0, smallest_bytes = 0;
  size_t at_once = 0;      // texts that are made at the same time
  size_t tile_tokens = 0;  // of starts, and of whole texts, that go through the network together
};
// Throws MEMORY_BUDGET.
GeneratePlan plan_generate(const GenerateJob& job);

struct GenerateResult {
  GeneratePlan plan;
  std::vector<uint32_t> ids, offsets;  // made tokens
  std::vector<double> log_probability, base_log_probability;  // by made token; the latter empty without a base
  std::vector<uint8_t> ended;  // by text: with an end token
};
// Progress: tokens.
GenerateResult run_generate(const GenerateJob& job, Context& context);

}  // namespace warp
