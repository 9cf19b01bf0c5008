// The tangent of attention, in one pass over the keys as attention.cu makes it. Beside m and l = Σ p, p = e^(s−m), with
// s' = scale · (q'k + q k') ⊙ the cap's slope, three more sums are kept: acc = Σ p v, along = Σ p (s' v + v') and
// mean = Σ p s'. The result is (along − mean / l · acc) / l.
#include "ops/cuda/attention_tiles.h"

namespace warp::cuda {
namespace {

struct TangentArguments {
  AttentionArguments a;
  const float *q, *k, *v;  // any may be null: zero
  size_t ldq, ldkv;
};

// The score s and its derivative, capped.
struct Score {
  float value, slope;
};
__device__ __forceinline__ Score capped(float s, float ds, float cap) {
  if (!(cap > 0.0f)) return {s, ds};
  const float t = tanhf(s / cap);
  return {cap * t, ds * ((1.0f - t) * (1.0f + t))};
}

// What is known of a query after some of its keys.
struct Sums {
  float largest = -INFINITY, total = 0.0f, mean = 0.0f, acc[kDims] = {}, along[kDims] = {};
};
// Keys, values and their tangents in shared memory.
struct Tiles {
  const float4 *keys, *values, *keys_along, *values_along;
};

// The next kStep keys from `key` on, which lie at `at` of the tiles.
template <int kSplit>
__device__ __forceinline__ void take(const Tiles& tiles, int at, unsigned key, Seen mine, float cap,
                                     const float (&q)[kDims], const float (&dq)[kDims], Sums& sums) {
  constexpr int kEach = kDims * kSplit / 4;
  const int part = threadIdx.x % kSplit;
  float s[kStep], ds[kStep], top = sums.largest;
#pragma unroll
  for (int j = 0; j < kStep; j++) {
    const float4 *keys = tiles.keys + at + j * kEach, *keys_along = tiles.keys_along + at + j * kEach;
    const float dot = over_query<kSplit>(partial_dot<kSplit>(q, keys, part));
    const float slope =
        over_query<kSplit>(partial_dot<kSplit>(dq, keys, part) + partial_dot<kSplit>(q, keys_along, part));
    const Score score = capped(dot, slope, cap);
    s[j] = key + j >= mine.low && key + j < mine.high ? score.value : -INFINITY;
    ds[j] = score.slope;
    top = fmaxf(top, s[j]);
  }
  if (top == -INFINITY) return;  // nothing visible yet, or a query beyond the text
  const float shrink = expf(sums.largest - top);
  sums.largest = top;
  sums.total *= shrink;
  sums.mean *= shrink;
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    sums.acc[i] *= shrink;
    sums.along[i] *= shrink;
  }
#pragma unroll
  for (int j = 0; j < kStep; j++) {
    const float p = expf(s[j] - top);
    sums.total += p;
    sums.mean += p * ds[j];
    add_value<kSplit>(sums.acc, p, tiles.values + at + j * kEach, part);
    add_value<kSplit>(sums.along, p * ds[j], tiles.values + at + j * kEach, part);
    add_value<kSplit>(sums.along, p, tiles.values_along + at + j * kEach, part);
  }
}

template <int kSplit>
__global__ void __launch_bounds__(kAttentionThreads) attend_all_tangent(TangentArguments t) {
  // four tiles fill what two do in attention.cu
  constexpr int kPadded = kDims * kSplit,
                kKeys = kPadded > 128  ? 8
                        : kPadded > 64 ? 16
                                       : 32,
                kRows = kAttentionThreads / kSplit;
  WARP_SHARED(float4, keys4, kKeys * kPadded / 4);
  WARP_SHARED(float4, values4, kKeys * kPadded / 4);
  WARP_SHARED(float4, keys_along4, kKeys * kPadded / 4);
  WARP_SHARED(float4, values_along4, kKeys * kPadded / 4);
  const Tiles tiles{keys4, values4, keys_along4, values_along4};
  const AttentionArguments& a = t.a;
  const size_t text = blockIdx.x / a.blocks_per_text, first = blockIdx.x % a.blocks_per_text * kRows;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin, column = blockIdx.y * a.head_size;
  if (first >= length) return;  // the whole block
  const int part = threadIdx.x % kSplit;
  const size_t query = first + threadIdx.x / kSplit, key_at = key_column(a, blockIdx.y);
  const size_t kv = begin * a.ldkv + key_at, kv_along = begin * t.ldkv + key_at;
  const bool asks = query < length;
  const size_t last = length < first + kRows ? length : first + kRows;
  const Seen mine = asks ? seen(a, query, length) : Seen{0, 0};
  const unsigned low = seen(a, first, length).low, high = seen(a, last - 1, length).high;  // of the whole block

  float q[kDims], dq[kDims];
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    const size_t d = dimension<kSplit>(i, part);
    const bool inside = asks && d < a.head_size;
    q[i] = inside ? a.q[(begin + query) * a.ldq + column + d] * a.scale : 0.0f;
    dq[i] = inside && t.q ? t.q[(begin + query) * t.ldq + column + d] * a.scale : 0.0f;
  }
  Sums sums;
  for (unsigned tile = low / kKeys * kKeys; tile < high; tile += kKeys) {
    __syncthreads();
    load_tile<kKeys, kPadded>(a.k + kv, a.ldkv, tile, high, a.head_size, reinterpret_cast<float*>(keys4));
    load_tile<kKeys, kPadded>(a.v + kv, a.ldkv, tile, high, a.head_size, reinterpret_cast<float*>(values4));
    load_tile<kKeys, kPadded>(t.k ? t.k + kv_along : nullptr, t.ldkv, tile, high, a.head_size,
                              reinterpret_cast<float*>(keys_along4));
    load_tile<kKeys, kPadded>(t.v ? t.v + kv_along : nullptr, t.ldkv, tile, high, a.head_size,
                              reinterpret_cast<float*>(values_along4));
    __syncthreads();
    for (int step = 0; step < kKeys && tile + step < high; step += kStep)
      take<kSplit>(tiles, step * (kPadded / 4), tile + step, mine, a.cap, q, dq, sums);
  }
  if (!asks) return;
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    const size_t d = dimension<kSplit>(i, part);
    if (d < a.head_size)
      a.out[(begin + query) * a.ldo + column + d] = (sums.along[i] - sums.mean / sums.total * sums.acc[i]) / sums.total;
  }
}

__global__ void __launch_bounds__(kAttentionThreads) attend_one_tangent(TangentArguments t) {
  const AttentionArguments& a = t.a;
  const size_t item = blockIdx.x * size_t(kAttentionThreads / 32) + threadIdx.x / 32;
  if (item >= a.texts * a.heads) return;  // a whole warp
  const unsigned lane = threadIdx.x % 32;
  const size_t text = item / a.heads, column = item % a.heads * a.head_size;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin;
  if (length == 0) return;
  const Seen mine = seen(a, a.queries[text], length);
  const size_t key_at = key_column(a, item % a.heads), kv = begin * a.ldkv + key_at, kv_along = begin * t.ldkv + key_at;
  const float *q = a.q + text * a.ldq + column, *k = a.k + kv, *v = a.v + kv;
  const float* dq = t.q ? t.q + text * t.ldq + column : nullptr;
  const float *dk = t.k ? t.k + kv_along : nullptr, *dv = t.v ? t.v + kv_along : nullptr;
  float acc[kMaxHeadSize / 32] = {}, along[kMaxHeadSize / 32] = {}, largest = -INFINITY, total = 0.0f, mean = 0.0f;
  for (size_t tile = mine.low / 32 * 32; tile < mine.high; tile += 32) {
    const size_t key = tile + lane;
    Score score{-INFINITY, 0.0f};
    if (key >= mine.low && key < mine.high) {
      float s = 0.0f, ds = 0.0f;
      for (size_t d = 0; d < a.head_size; d++) {
        s += q[d] * k[key * a.ldkv + d];
        if (dq) ds += dq[d] * k[key * a.ldkv + d];
        if (dk) ds += q[d] * dk[key * t.ldkv + d];
      }
      score = capped(s * a.scale, ds * a.scale, a.cap);
    }
    const float top = fmaxf(largest, warp_max(score.value)), shrink = expf(largest - top), p = expf(score.value - top);
    largest = top;
    total = total * shrink + warp_sum(p);
    mean = mean * shrink + warp_sum(p * score.slope);
    const int count = mine.high - tile < 32 ? int(mine.high - tile) : 32;
    for (size_t i = 0; i < kMaxHeadSize / 32; i++) {
      acc[i] *= shrink;
      along[i] *= shrink;
    }
    for (int j = 0; j < count; j++) {
      const float weight = __shfl_sync(kWholeWarp, p, j), moved = weight * __shfl_sync(kWholeWarp, score.slope, j);
#pragma unroll
      for (size_t i = 0; i < kMaxHeadSize / 32; i++) {
        const size_t d = lane + 32 * i;
        if (d >= a.head_size) continue;
        const float value = v[(tile + j) * a.ldkv + d];
        acc[i] += weight * value;
        along[i] += moved * value;
        if (dv) along[i] += weight * dv[(tile + j) * t.ldkv + d];
      }
    }
  }
  float* out = a.out + text * a.ldo + column;
#pragma unroll
  for (size_t i = 0; i < kMaxHeadSize / 32; i++)
    if (lane + 32 * i < a.head_size) out[lane + 32 * i] = (along[i] - mean / total * acc[i]) / total;
}

template <int kSplit>
void run_all(TangentArguments t, size_t longest, cudaStream_t stream) {
  t.a.blocks_per_text = blocks_of(longest, kAttentionThreads / kSplit);
  WARP_LAUNCH(attend_all_tangent<kSplit>, dim3(unsigned(t.a.texts * t.a.blocks_per_text), unsigned(t.a.heads)),
              kAttentionThreads, 0, stream, t);
}

}  // namespace

void attention_tangent(const AttentionCall& c, const AttentionTangents& along, size_t longest, cudaStream_t stream) {
  const TangentArguments t{
      attention_arguments(c, {along.out, along.ldo}), along.q, along.k, along.v, along.ldq, along.ldkv};
  if (c.queries) {
    WARP_LAUNCH(attend_one_tangent, blocks_of(c.texts * c.heads, kAttentionThreads / 32), kAttentionThreads, 0, stream,
                t);
  } else if (c.head_size <= 32) {
    run_all<1>(t, longest, stream);
  } else if (c.head_size <= 64) {
    run_all<2>(t, longest, stream);
  } else if (c.head_size <= 128) {
    run_all<4>(t, longest, stream);
  } else {
    run_all<8>(t, longest, stream);
  }
}

}  // namespace warp::cuda
