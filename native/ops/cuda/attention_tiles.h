#pragma once
// What attention and its tangent share: their arguments, what a query sees, tiles of keys and values.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {

constexpr int kAttentionThreads = 128, kDims = 32, kGroups = kDims / 4, kStep = 8;

struct AttentionArguments {
  const uint32_t *offsets, *queries;
  size_t texts, heads, kv_heads, head_size, blocks_per_text, window;
  const float *q, *k, *v;
  size_t ldq, ldkv, ldo;
  float* out;
  float scale, cap;  // cap 0: none
  bool causal;
};

inline AttentionArguments attention_arguments(const AttentionCall& c, Matrix out) {
  if (c.head_size == 0 || c.head_size > kMaxHeadSize)
    throw internal_error("attention on CUDA takes heads of 1 to 256, not " + std::to_string(c.head_size));
  if (c.dropout.threshold != 0) throw internal_error("attention on CUDA has no dropout");
  return {c.offsets, c.queries, c.texts, c.heads, c.kv_heads, c.head_size, 0,       c.window,  c.q,
          c.k,       c.v,       c.ldq,   c.ldkv,  out.ld,     out.data,    c.scale, c.softcap, c.causal};
}

// Keys [low, high) that the query at `position` of a text sees.
struct Seen {
  unsigned low, high;
};
__device__ __forceinline__ Seen seen(const AttentionArguments& a, size_t position, size_t length) {
  Seen s{0, unsigned(a.causal ? position + 1 : length)};
  if (a.window) {
    if (position + 1 > a.window) s.low = unsigned(position + 1 - a.window);
    if (!a.causal && position + a.window < length) s.high = unsigned(position + a.window);
  }
  return s;
}

__device__ __forceinline__ size_t key_column(const AttentionArguments& a, size_t head) {
  return head * a.kv_heads / a.heads * a.head_size;
}

// rows [first, first + kKeys) of one head of k or v, zero outside; from null: all zero
template <int kKeys, int kPadded>
__device__ __forceinline__ void load_tile(const float* from, size_t ld, size_t first, size_t length, size_t head_size,
                                          float* tile) {
  for (int i = threadIdx.x; i < kKeys * kPadded; i += kAttentionThreads) {
    const size_t row = first + i / kPadded, d = i % kPadded;
    tile[i] = from && row < length && d < head_size ? from[row * ld + d] : 0.0f;
  }
}

// Element i of a thread's kDims is this dimension of the head.
template <int kSplit>
__device__ __forceinline__ size_t dimension(int i, int part) {
  return (i / 4 * kSplit + part) * 4 + i % 4;
}

// The products of a thread's dimensions with those of one key, summed over the kSplit threads of the query.
template <int kSplit>
__device__ __forceinline__ float partial_dot(const float (&q)[kDims], const float4* key, int part) {
  float dot = 0.0f;
#pragma unroll
  for (int g = 0; g < kGroups; g++) {
    const float4 x = key[g * kSplit + part];
    dot += q[4 * g] * x.x + q[4 * g + 1] * x.y + q[4 * g + 2] * x.z + q[4 * g + 3] * x.w;
  }
  return dot;
}
template <int kSplit>
__device__ __forceinline__ float over_query(float dot) {
#pragma unroll
  for (int bits = 1; bits < kSplit; bits *= 2) dot += __shfl_xor_sync(kWholeWarp, dot, bits);
  return dot;
}

// acc += weight · one value
template <int kSplit>
__device__ __forceinline__ void add_value(float (&acc)[kDims], float weight, const float4* value, int part) {
#pragma unroll
  for (int g = 0; g < kGroups; g++) {
    const float4 x = value[g * kSplit + part];
    acc[4 * g] += weight * x.x;
    acc[4 * g + 1] += weight * x.y;
    acc[4 * g + 2] += weight * x.z;
    acc[4 * g + 3] += weight * x.w;
  }
}

}  // namespace warp::cuda
