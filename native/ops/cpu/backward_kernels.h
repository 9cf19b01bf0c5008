#pragma once
// The CPU's kernels for training (backward.inc, attention_backward.inc), as a table per instruction set. What is said
// in kernels.h about headers holds here too.
#include <cstddef>
#include <cstdint>

#include "ops/dropout.h"

namespace warp::cpu {

struct AdamStep {
  float rate, beta1, beta2, epsilon, decay, scale, correction1, correction2;
  bool decoupled;
};

struct AttentionCall {
  size_t texts;
  const uint32_t* offsets;
  size_t heads, head_size;
  bool causal;
  const uint32_t* queries;
  const float* q;
  size_t ldq;
  const float *k, *v;
  size_t ldkv;
  Dropout dropout;
  uint32_t first_text;
};

struct BackwardKernels {
  size_t (*outer_scratch)(size_t rows, size_t outputs);
  size_t (*attention_scratch)(size_t longest, size_t head_size);
  void (*outer)(size_t rows, size_t outputs, size_t inputs, const float* dy, size_t lddy, const float* x, size_t ldx,
                float* dw, size_t lddw, float* scratch);
  void (*add_rows)(size_t rows, size_t size, const float* x, size_t ldx, double* sums);
  void (*activate)(int act, size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy);
  void (*activate_backward)(int act, size_t rows, size_t size, const float* x, size_t ldx, const float* dy, size_t lddy,
                            float* dx, size_t lddx);
  void (*layer_norm_backward)(size_t rows, size_t size, const float* x, size_t ldx, const float* gain, float eps,
                              const float* dy, size_t lddy, float* dx, size_t lddx, double* dgain, double* dbias);
  void (*dropout)(size_t rows, size_t size, const Dropout& dropout, const uint32_t* texts, const uint32_t* positions,
                  float* x, size_t ldx);
  void (*attention)(const AttentionCall& call, float* out, size_t ldo, float* scratch);
  void (*attention_backward)(const AttentionCall& call, const float* dout, size_t lddo, float* dq, size_t lddq,
                             float* dk, float* dv, size_t lddkv, float* scratch);
  void (*update)(size_t size, const AdamStep& step, const float* g, float* p, float* m, float* v);
};

extern const BackwardKernels portable_backward;
#if defined(__x86_64__)
extern const BackwardKernels avx2_backward, avx512_backward;
#endif

}  // namespace warp::cpu
