#pragma once
// Arguments of the operations that need more than eight. Matrices are row-major float32 with a leading dimension in
// elements. No headers of the standard library beyond cstddef and cstdint (see ops/cpu/kernels.h).
#include <cstddef>
#include <cstdint>

#include "ops/dropout.h"

namespace warp {

struct Matrix {
  float* data;
  size_t ld;
};
struct ConstMatrix {
  const float* data;
  size_t ld;
  __attribute__((always_inline)) ConstMatrix(const float* data, size_t ld) : data(data), ld(ld) {}
  __attribute__((always_inline)) ConstMatrix(Matrix m) : data(m.data), ld(m.ld) {}
};

// Per row and group of `size` elements (a row has groups · size, next to each other; gain and bias have `size`):
//   center: y = (x − mean) / √(var + eps) · (offset + gain) + bias;  else (RMS): y = x / √(mean(x²) + eps) · (offset +
//   gain) + bias.
struct NormCall {
  size_t rows = 0, size = 0, groups = 1;
  bool center = true;
  float epsilon = 0, offset = 0;
  const float *gain = nullptr, *bias = nullptr;  // bias may be null
};

// Along dx, dgain and dbias; each may be null: zero.
struct NormTangent {
  const float* x;
  size_t ldx;
  const float* dx;
  size_t lddx;
  const float *gain, *bias;
};

// dx is written (it may be dy); to gain and bias (`size` each) the sums over rows and groups are added; bias may be
// null.
struct NormGradients {
  const float* dy;
  size_t lddy;
  float* dx;
  size_t lddx;
  double *gain, *bias;
};

// rotate_half on the first `rotary` of each head's `head_size` columns. cos, sin: positions × rotary/2.
// y[j] = x[j] cos[p][j] − x[j + r/2] sin[p][j];  y[j + r/2] = x[j + r/2] cos[p][j] + x[j] sin[p][j],  j < r/2;  the
// rest is copied. inverse: with −sin (the transpose: what the backward pass applies). Linear in x: its tangent is
// itself.
struct RopeCall {
  size_t rows = 0, heads = 0, head_size = 0, rotary = 0;
  const float *cos = nullptr, *sin = nullptr;
  const uint32_t* positions = nullptr;  // by row
  bool inverse = false;
};

// Within each text, by head h with key head ⌊h · kv_heads / heads⌋: softmax(scale · q kᵀ) v; scores s become
// cap·tanh(s/cap) first where softcap > 0. causal: position i sees j ≤ i. window w > 0: also only i − j < w (causal) or
// |i − j| < w. queries == null: every token asks, q and out have a row per token. Else text t asks with one token, at
// position queries[t], and q and out have one row per text. dropout on the probabilities: the mask's row for query
// position p and head a of text t has position p and text (first_text + t) · heads + a (ops/dropout.h); threshold 0:
// none.
struct AttentionCall {
  size_t texts = 0;
  const uint32_t* offsets = nullptr;
  size_t heads = 0, kv_heads = 0, head_size = 0;
  bool causal = false;
  size_t window = 0;
  float scale = 1, softcap = 0;
  const uint32_t* queries = nullptr;
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  size_t ldq = 0, ldkv = 0;
  Dropout dropout;
  uint32_t first_text = 0;
};

// One new token a row, row r at position p = positions[r] of its text: by head, softmax(scale · q kᵀ) v over the text's
// tokens 0 … p (with a window w > 0 the last w of them), whose keys and values are kept, token j's at
// keys[r] + j · ld. Heads, scale and cap as in AttentionCall.
struct StepCall {
  size_t rows = 0, heads = 0, kv_heads = 0, head_size = 0, window = 0;
  float scale = 1, softcap = 0;
  const float* q = nullptr;
  size_t ldq = 0;
  const float* const* keys = nullptr;
  const float* const* values = nullptr;
  size_t ld = 0;
  const uint32_t* positions = nullptr;
};

struct AttentionGradients {  // written, not added; of grouped heads dk, dv are sums over the query heads
  const float* dout = nullptr;
  size_t lddo = 0;
  float *dq = nullptr, *dk = nullptr, *dv = nullptr;
  size_t lddq = 0, lddkv = 0;
};

struct AttentionTangents {  // any of q, k, v null: its tangent is zero
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  size_t ldq = 0, ldkv = 0;
  float* out = nullptr;  // tangent of the attention's output
  size_t ldo = 0;
};

}  // namespace warp
