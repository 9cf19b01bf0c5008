#pragma once
// Where two language models depart from each other on some texts: one pass of both. V-wide rows exist for blocks only.
#include <memory>

#include "scoring/pass.h"

namespace warp {

struct CompareJob {
  Program program;
  std::shared_ptr<Path> path;  // without points: the base and the reference
  PackedTexts texts;           // targets: by token, the next one; kNoTarget at a text's end
  size_t top = 1;              // tokens with the largest and with the smallest logit differences, by position
  size_t positions = 0;        // of the lens: the first ones of each text; 0: none
  size_t mean_layer = 0;       // from 1: the reference's mean activation behind it, by text; 0: none
  int threads = 1;
  uint64_t memory = 0;
};

// Mean difference of the activations behind a layer at one position, as the reference's head reads it.
struct LensPlace {
  double norm = 0, base_norm = 0;  // of the mean difference, of the base's mean activation
  std::vector<uint32_t> tokens;    // `top` of them, the largest logit first
};

struct CompareResult {
  ForwardPlan plan;
  std::vector<double> divergence;   // by token: KL(p* ‖ p₀) of what comes behind it; 0 without a target
  std::vector<uint32_t> promoted, suppressed;  // tokens × top: largest z* − z₀ first, smallest first; ties by id
  std::vector<LensPlace> lens;      // layers × positions
  std::vector<double> means;        // texts × hidden; empty without a layer
};

ForwardPlan plan_compare(const CompareJob& job);
// Progress: as run_pass.
CompareResult run_compare(const CompareJob& job, Context& context);

}  // namespace warp
