// softmax(scale · q kᵀ) v by text and head, in float32, without padding: no row of scores is ever in memory.
// All tokens ask (attend_all): a block takes 128 / kSplit queries of one text and head. kSplit neighbouring threads
// share a query, each with 32 of its dimensions in registers (groups of four dealt in turn, so that their reads of
// shared memory meet no conflict). Keys and values pass through shared memory in tiles, zero beyond the text and
// beyond d; tiles that no query of the block sees are left out. The softmax is kept up to date as they pass: with m the
// largest score so far, l = Σ e^(s−m), acc = Σ e^(s−m) v, both rescaled when m grows.
// One token asks (attend_one): a warp per text and head; lanes hold keys for the scores, dimensions for the values.
#include "ops/cuda/attention_tiles.h"

namespace warp::cuda {
namespace {

template <int kSplit, bool kCapped>
__global__ void __launch_bounds__(kAttentionThreads, 4) attend_all(AttentionArguments a) {
  constexpr int kPadded = kDims * kSplit, kKeys = kPadded > 128 ? 16 : 32, kRows = kAttentionThreads / kSplit;
  WARP_SHARED(float4, keys4, kKeys * kPadded / 4);
  WARP_SHARED(float4, values4, kKeys * kPadded / 4);
  const size_t text = blockIdx.x / a.blocks_per_text, first = blockIdx.x % a.blocks_per_text * kRows;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin, column = blockIdx.y * a.head_size;
  if (first >= length) return;  // the whole block
  const int part = threadIdx.x % kSplit;
  const size_t query = first + threadIdx.x / kSplit, kv = begin * a.ldkv + key_column(a, blockIdx.y);
  const bool asks = query < length;
  const size_t last = length < first + kRows ? length : first + kRows;
  const Seen mine = asks ? seen(a, query, length) : Seen{0, 0};
  const unsigned low = seen(a, first, length).low, high = seen(a, last - 1, length).high;  // of the whole block

  float q[kDims], acc[kDims];
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    const size_t d = dimension<kSplit>(i, part);
    q[i] = asks && d < a.head_size ? a.q[(begin + query) * a.ldq + column + d] * a.scale : 0.0f;
    acc[i] = 0.0f;
  }
  float largest = -INFINITY, total = 0.0f;
  for (unsigned tile = low / kKeys * kKeys; tile < high; tile += kKeys) {
    __syncthreads();
    load_tile<kKeys, kPadded>(a.k + kv, a.ldkv, tile, high, a.head_size, reinterpret_cast<float*>(keys4));
    load_tile<kKeys, kPadded>(a.v + kv, a.ldkv, tile, high, a.head_size, reinterpret_cast<float*>(values4));
    __syncthreads();
    for (int step = 0; step < kKeys; step += kStep) {
      if (tile + step >= high) break;
      float s[kStep], top = largest;
#pragma unroll
      for (int j = 0; j < kStep; j++) {
        s[j] = over_query<kSplit>(partial_dot<kSplit>(q, keys4 + (step + j) * (kPadded / 4), part));
        if (kCapped) s[j] = a.cap * tanhf(s[j] / a.cap);
        const unsigned key = tile + step + j;
        if (key < mine.low || key >= mine.high) s[j] = -INFINITY;
        top = fmaxf(top, s[j]);
      }
      if (top == -INFINITY) continue;  // nothing visible yet, or a query beyond the text
      const float shrink = expf(largest - top);
      largest = top;
      total *= shrink;
#pragma unroll
      for (int i = 0; i < kDims; i++) acc[i] *= shrink;
#pragma unroll
      for (int j = 0; j < kStep; j++) {
        const float p = expf(s[j] - top);
        total += p;
        add_value<kSplit>(acc, p, values4 + (step + j) * (kPadded / 4), part);
      }
    }
  }
  if (!asks) return;
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    const size_t d = dimension<kSplit>(i, part);
    if (d < a.head_size) a.out[(begin + query) * a.ldo + column + d] = acc[i] / total;
  }
}

__global__ void __launch_bounds__(kAttentionThreads) attend_one(AttentionArguments a) {
  const size_t item = blockIdx.x * size_t(kAttentionThreads / 32) + threadIdx.x / 32;
  if (item >= a.texts * a.heads) return;  // a whole warp
  const unsigned lane = threadIdx.x % 32;
  const size_t text = item / a.heads, column = item % a.heads * a.head_size;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin;
  if (length == 0) return;
  const Seen mine = seen(a, a.queries[text], length);
  const size_t kv = begin * a.ldkv + key_column(a, item % a.heads);
  const float *q = a.q + text * a.ldq + column, *k = a.k + kv, *v = a.v + kv;
  float acc[kMaxHeadSize / 32] = {}, largest = -INFINITY, total = 0.0f;
  for (size_t tile = mine.low / 32 * 32; tile < mine.high; tile += 32) {
    const size_t key = tile + lane;
    float s = -INFINITY;
    if (key >= mine.low && key < mine.high) {
      s = 0.0f;
      for (size_t d = 0; d < a.head_size; d++) s += q[d] * k[key * a.ldkv + d];
      s *= a.scale;
      if (a.cap > 0.0f) s = a.cap * tanhf(s / a.cap);
    }
    const float top = fmaxf(largest, warp_max(s)), shrink = expf(largest - top), p = expf(s - top);
    largest = top;
    total = total * shrink + warp_sum(p);
    const int count = mine.high - tile < 32 ? int(mine.high - tile) : 32;
    for (size_t i = 0; i < kMaxHeadSize / 32; i++) acc[i] *= shrink;
    for (int j = 0; j < count; j++) {
      const float weight = __shfl_sync(kWholeWarp, p, j);
      const float* value = v + (tile + j) * a.ldkv;
#pragma unroll
      for (size_t i = 0; i < kMaxHeadSize / 32; i++)
        if (lane + 32 * i < a.head_size) acc[i] += weight * value[lane + 32 * i];
    }
  }
  float* out = a.out + text * a.ldo + column;
#pragma unroll
  for (size_t i = 0; i < kMaxHeadSize / 32; i++)
    if (lane + 32 * i < a.head_size) out[lane + 32 * i] = acc[i] / total;
}

template <int kSplit>
void run_all(AttentionArguments a, size_t longest, cudaStream_t stream) {
  a.blocks_per_text = blocks_of(longest, kAttentionThreads / kSplit);
  const dim3 grid(unsigned(a.texts * a.blocks_per_text), unsigned(a.heads));
  if (a.cap > 0) WARP_LAUNCH((attend_all<kSplit, true>), grid, kAttentionThreads, 0, stream, a);
  else WARP_LAUNCH((attend_all<kSplit, false>), grid, kAttentionThreads, 0, stream, a);
}

}  // namespace

void attention(const AttentionCall& c, size_t longest, Matrix out, cudaStream_t stream) {
  const AttentionArguments a = attention_arguments(c, out);
  if (c.queries) {
    WARP_LAUNCH(attend_one, blocks_of(c.texts * c.heads, kAttentionThreads / 32), kAttentionThreads, 0, stream, a);
  } else if (c.head_size <= 32) {
    run_all<1>(a, longest, stream);
  } else if (c.head_size <= 64) {
    run_all<2>(a, longest, stream);
  } else if (c.head_size <= 128) {
    run_all<4>(a, longest, stream);
  } else {
    run_all<8>(a, longest, stream);
  }
}

void attention(size_t texts, size_t longest, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
               const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
               float* out, size_t ldo, cudaStream_t stream) {
  attention({texts,
             offsets,
             heads,
             heads,
             head_size,
             causal,
             0,
             float(1 / sqrt(double(head_size))),
             0,
             queries,
             q,
             k,
             v,
             ldq,
             ldkv,
             {},
             0},
            longest, {out, ldo}, stream);
}

}  // namespace warp::cuda
