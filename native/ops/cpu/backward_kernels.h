#pragma once
// The CPU's kernels for training (*_backward.inc and others), as a table per instruction set. What is said
// in kernels.h about headers holds here too.
#include <cstddef>
#include <cstdint>

#include "ops/calls.h"

namespace warp::cpu {

struct AdamStep {
  float rate, beta1, beta2, epsilon, decay, scale, correction1, correction2;
  bool decoupled;
};

struct BackwardKernels {
  size_t (*outer_scratch)(size_t rows, size_t outputs);
  size_t (*attention_scratch)(size_t longest, size_t head_size);
  void (*outer)(size_t rows, size_t outputs, size_t inputs, const float* dy, size_t lddy, const float* x, size_t ldx,
                float* dw, size_t lddw, float* scratch);
  void (*add_rows)(size_t rows, size_t size, const float* x, size_t ldx, double* sums);
  void (*norm_backward)(const NormCall& call, const float* x, size_t ldx, const NormGradients& d);
  void (*attention_backward)(const AttentionCall& call, const AttentionGradients& d, float* scratch);
  void (*dropout)(size_t rows, size_t size, const Dropout& dropout, const uint32_t* texts, const uint32_t* positions,
                  float* x, size_t ldx);
  void (*update)(size_t size, const AdamStep& step, const float* g, float* p, float* m, float* v);
};

extern const BackwardKernels portable_backward;
#if defined(__x86_64__)
extern const BackwardKernels avx2_backward, avx512_backward;
#endif

}  // namespace warp::cpu
