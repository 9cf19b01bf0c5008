#pragma once
// Where two language models depart from each other on some texts: one pass of both. V-wide rows exist for blocks only.
// Of other models, whose program has a table of tokens for its output layer, the lens alone means anything.
#include <memory>

#include "scoring/pass.h"

namespace warp {

struct CompareJob {
  Program program;
  std::shared_ptr<Path> path;  // without points: the base and the reference
  PackedTexts texts;           // targets: by token, the next one; kNoTarget at a text's end
  size_t top = 1;              // tokens that add most to the divergences, by position
  size_t positions = 0;        // of the lens: the first ones of each text; 0: none
  size_t mean_layer = 0;       // from 1: the reference's mean activation behind it, by text; 0: none
  int threads = 1;
  uint64_t memory = 0;
};

// Mean difference of the activations behind a layer at one position, as the reference's head reads it.
struct LensPlace {
  double norm = 0, base_norm = 0;  // of the mean difference, of the base's mean activation
  std::vector<uint32_t> tokens;    // `top` of them, the largest logit first
  std::vector<uint32_t> away;      // the smallest first
};

constexpr uint32_t kNoToken = 0xffffffff;

struct CompareResult {
  ForwardPlan plan;
  std::vector<double> divergence;   // by token: KL(p* ‖ p₀) of what comes behind it; 0 without a target
  // tokens × top: those with the largest p* log(p* / p₀), and p₀ log(p₀ / p*), in order, ties by id; kNoToken where
  // fewer add anything
  std::vector<uint32_t> promoted, suppressed;
  std::vector<double> expected[2];  // by model and output: Σ of its probabilities over all positions with a target
  std::vector<LensPlace> lens;      // layers × positions
  std::vector<double> means;        // texts × hidden; empty without a layer
};

ForwardPlan plan_compare(const CompareJob& job);
// Progress: as run_pass.
CompareResult run_compare(const CompareJob& job, Context& context);

}  // namespace warp
