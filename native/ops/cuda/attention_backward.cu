// Gradients of attention, with probabilities p computed again. By query and head, a warp each (from_queries): the
// largest score m, l = Σ e^(s−m) and mean = Σ p dp with dp = dout·v, in one pass over the keys; in a second
// dq = scale Σ p (dp − mean) c k, c the cap's slope. By key and head of keys, a warp each (from_keys), with what the
// former left: dv = Σ p dout and dk = scale Σ p (dp − mean) c q over the queries of its group that see it, in order.
#include "ops/cuda/attention_tiles.h"

namespace warp::cuda {
namespace {

constexpr int kWarps = kAttentionThreads / 32, kOwn = int(kMaxHeadSize) / 32;

struct Arguments {
  AttentionArguments a;
  const float* dout;
  size_t lddo, lddq, lddkv;
  float *dq, *dk, *dv;
  float* stats;  // queries × heads × 3: m, 1 / l, mean
};

__device__ __forceinline__ float dot(const float* a, const float* b, size_t size) {
  float sum = 0.0f;
  for (size_t d = 0; d < size; d++) sum += a[d] * b[d];
  return sum;
}

// A score, and the cap's slope there.
struct Score {
  float value, slope;
};
__device__ __forceinline__ Score score_of(const AttentionArguments& a, const float* q, const float* k) {
  const float s = dot(q, k, a.head_size) * a.scale;
  if (!(a.cap > 0.0f)) return {s, 1.0f};
  const float t = tanhf(s / a.cap);
  return {a.cap * t, (1.0f - t) * (1.0f + t)};
}

// A query's row: its own where every token asks, else its text's.
__device__ __forceinline__ size_t row_of(const AttentionArguments& a, size_t text, size_t begin, size_t position) {
  return a.queries ? text : begin + position;
}

__global__ void __launch_bounds__(kAttentionThreads) from_queries(Arguments b) {
  const AttentionArguments& a = b.a;
  const size_t text = blockIdx.x / a.blocks_per_text, head = blockIdx.y;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin;
  size_t position = blockIdx.x % a.blocks_per_text * kWarps + threadIdx.x / 32;
  if (position >= (a.queries ? 1 : length) || length == 0) return;  // a whole warp
  if (a.queries) position = a.queries[text];
  const unsigned lane = threadIdx.x % 32;
  const size_t row = row_of(a, text, begin, position), column = head * a.head_size;
  const size_t kv = begin * a.ldkv + key_column(a, head);
  const float *q = a.q + row * a.ldq + column, *dout = b.dout + row * b.lddo + column, *k = a.k + kv, *v = a.v + kv;
  const Seen mine = seen(a, position, length);
  float largest = -INFINITY, total = 0.0f, mean = 0.0f;
  for (size_t tile = mine.low; tile < mine.high; tile += 32) {
    const size_t key = tile + lane;
    const bool there = key < mine.high;
    const float s = there ? score_of(a, q, k + key * a.ldkv).value : -INFINITY;
    const float top = fmaxf(largest, warp_max(s)), shrink = expf(largest - top), p = expf(s - top);
    largest = top;
    total = total * shrink + warp_sum(p);
    mean = mean * shrink + warp_sum(there ? p * dot(dout, v + key * a.ldkv, a.head_size) : 0.0f);
  }
  const float factor = 1.0f / total;
  mean *= factor;
  if (lane == 0) {
    float* stats = b.stats + (row * a.heads + head) * 3;
    stats[0] = largest;
    stats[1] = factor;
    stats[2] = mean;
  }
  float dq[kOwn] = {};
  for (size_t tile = mine.low; tile < mine.high; tile += 32) {
    const size_t key = tile + lane;
    float ds = 0.0f;
    if (key < mine.high) {
      const Score s = score_of(a, q, k + key * a.ldkv);
      ds = expf(s.value - largest) * factor * (dot(dout, v + key * a.ldkv, a.head_size) - mean) * s.slope * a.scale;
    }
    const int count = mine.high - tile < 32 ? int(mine.high - tile) : 32;
    for (int j = 0; j < count; j++) {
      const float weight = __shfl_sync(kWholeWarp, ds, j);
#pragma unroll
      for (int i = 0; i < kOwn; i++)
        if (lane + 32 * i < a.head_size) dq[i] += weight * k[(tile + j) * a.ldkv + lane + 32 * i];
    }
  }
#pragma unroll
  for (int i = 0; i < kOwn; i++)
    if (lane + 32 * i < a.head_size) b.dq[row * b.lddq + column + lane + 32 * i] = dq[i];
}

__global__ void __launch_bounds__(kAttentionThreads) from_keys(Arguments b) {
  const AttentionArguments& a = b.a;
  const size_t text = blockIdx.x / a.blocks_per_text, kv_head = blockIdx.y, group = a.heads / a.kv_heads;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin;
  const size_t key = blockIdx.x % a.blocks_per_text * kWarps + threadIdx.x / 32;
  if (key >= length) return;  // a whole warp
  const unsigned lane = threadIdx.x % 32;
  const size_t at = (begin + key) * a.ldkv + kv_head * a.head_size;
  const float *k = a.k + at, *v = a.v + at;
  const size_t asked = a.queries ? a.queries[text] : 0,
               first = a.queries  ? asked
                       : a.causal ? key
                                  : 0,
               last = a.queries ? asked + 1 : length;
  float dk[kOwn] = {}, dv[kOwn] = {};
  for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++)
    for (size_t tile = first; tile < last; tile += 32) {
      const size_t position = tile + lane, column = head * a.head_size;
      float p = 0.0f, ds = 0.0f;
      const Seen its = position < last ? seen(a, position, length) : Seen{0, 0};
      if (key >= its.low && key < its.high) {
        const size_t row = row_of(a, text, begin, position);
        const float* stats = b.stats + (row * a.heads + head) * 3;
        const Score s = score_of(a, a.q + row * a.ldq + column, k);
        p = expf(s.value - stats[0]) * stats[1];
        ds = p * (dot(b.dout + row * b.lddo + column, v, a.head_size) - stats[2]) * s.slope * a.scale;
      }
      const int count = last - tile < 32 ? int(last - tile) : 32;
      for (int j = 0; j < count; j++) {
        const float weight = __shfl_sync(kWholeWarp, p, j), slope = __shfl_sync(kWholeWarp, ds, j);
        const size_t row = row_of(a, text, begin, tile + j);
#pragma unroll
        for (int i = 0; i < kOwn; i++) {
          const size_t d = lane + 32 * i;
          if (d >= a.head_size) continue;
          dv[i] += weight * b.dout[row * b.lddo + column + d];
          dk[i] += slope * a.q[row * a.ldq + column + d];
        }
      }
    }
  const size_t to = (begin + key) * b.lddkv + kv_head * a.head_size;
#pragma unroll
  for (int i = 0; i < kOwn; i++) {
    if (lane + 32 * i >= a.head_size) continue;
    b.dk[to + lane + 32 * i] = dk[i];
    b.dv[to + lane + 32 * i] = dv[i];
  }
}

}  // namespace

void attention_backward(const AttentionCall& c, const AttentionGradients& d, size_t longest, float* stats,
                        cudaStream_t stream) {
  Arguments b{attention_arguments(c, {nullptr, 0}), d.dout, d.lddo, d.lddq, d.lddkv, d.dq, d.dk, d.dv, stats};
  b.a.blocks_per_text = blocks_of(c.queries ? 1 : longest, kWarps);
  WARP_LAUNCH(from_queries, dim3(unsigned(c.texts * b.a.blocks_per_text), unsigned(c.heads)), kAttentionThreads, 0,
              stream, b);
  b.a.blocks_per_text = blocks_of(longest, kWarps);
  WARP_LAUNCH(from_keys, dim3(unsigned(c.texts * b.a.blocks_per_text), unsigned(c.kv_heads)), kAttentionThreads, 0,
              stream, b);
}

}  // namespace warp::cuda
