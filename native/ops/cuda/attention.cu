// softmax(q kᵀ / √d) v by text and head on packed texts; no matrix of scores is ever in memory.
// All tokens ask (attend_all): a block takes 128 / kSplit queries of one text and head. kSplit neighbouring threads
// share a query, each with 32 of its dimensions in registers (groups of four dealt in turn, so that their reads of
// shared memory meet no conflict). Keys and values pass through shared memory in tiles, zero beyond the text and
// beyond d; the softmax is kept up to date as they pass: with m the largest score so far, l = Σ e^(s−m), acc = Σ
// e^(s−m) v, both rescaled when m grows.
// One token asks (attend_one): a warp per text and head; lanes hold keys for the scores, dimensions for the values.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 128, kDims = 32, kGroups = kDims / 4, kStep = 8;

struct AttentionArguments {
  const uint32_t *offsets, *queries;
  size_t texts, heads, head_size, blocks_per_text;
  const float *q, *k, *v;
  size_t ldq, ldkv, ldo;
  float* out;
  float scale;
  bool causal;
};

// rows [first, first + kKeys) of one head of k or v, zero outside
template <int kKeys, int kPadded>
__device__ __forceinline__ void load_tile(const float* from, size_t ld, size_t first, size_t length, size_t head_size,
                                          float* tile) {
  for (int i = threadIdx.x; i < kKeys * kPadded; i += kThreads) {
    const size_t row = first + i / kPadded, d = i % kPadded;
    tile[i] = row < length && d < head_size ? from[row * ld + d] : 0.0f;
  }
}

template <int kSplit>
__global__ void __launch_bounds__(kThreads) attend_all(AttentionArguments a) {
  constexpr int kPadded = kDims * kSplit, kKeys = kPadded > 128 ? 16 : 32, kRows = kThreads / kSplit;
  WARP_SHARED(float4, keys4, kKeys * kPadded / 4);
  WARP_SHARED(float4, values4, kKeys * kPadded / 4);
  const size_t text = blockIdx.x / a.blocks_per_text, first = blockIdx.x % a.blocks_per_text * kRows;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin, column = blockIdx.y * a.head_size;
  if (first >= length) return;  // the whole block
  const int part = threadIdx.x % kSplit;
  const size_t query = first + threadIdx.x / kSplit;
  const size_t visible = query >= length ? 0 : a.causal ? query + 1 : length;
  const size_t last = length < first + kRows ? length : first + kRows;
  const size_t needed = a.causal ? last : length;  // keys that some query of this block sees

  float q[kDims], acc[kDims];
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    const size_t d = (i / 4 * kSplit + part) * 4 + i % 4;
    q[i] = visible && d < a.head_size ? a.q[(begin + query) * a.ldq + column + d] * a.scale : 0.0f;
    acc[i] = 0.0f;
  }
  float largest = -INFINITY, total = 0.0f;
  for (size_t tile = 0; tile < needed; tile += kKeys) {
    __syncthreads();
    load_tile<kKeys, kPadded>(a.k + begin * a.ldkv + column, a.ldkv, tile, needed, a.head_size,
                              reinterpret_cast<float*>(keys4));
    load_tile<kKeys, kPadded>(a.v + begin * a.ldkv + column, a.ldkv, tile, needed, a.head_size,
                              reinterpret_cast<float*>(values4));
    __syncthreads();
    for (int step = 0; step < kKeys; step += kStep) {
      if (tile + step >= needed) break;
      float s[kStep], top = largest;
#pragma unroll
      for (int j = 0; j < kStep; j++) {
        const float4* key = keys4 + (step + j) * (kPadded / 4);
        float dot = 0.0f;
#pragma unroll
        for (int g = 0; g < kGroups; g++) {
          const float4 x = key[g * kSplit + part];
          dot += q[4 * g] * x.x + q[4 * g + 1] * x.y + q[4 * g + 2] * x.z + q[4 * g + 3] * x.w;
        }
#pragma unroll
        for (int bits = 1; bits < kSplit; bits *= 2) dot += __shfl_xor_sync(kWholeWarp, dot, bits);
        s[j] = tile + step + j < visible ? dot : -INFINITY;
        top = fmaxf(top, s[j]);
      }
      if (top == -INFINITY) continue;  // nothing visible yet: a query beyond the text
      const float shrink = expf(largest - top);
      largest = top;
      total *= shrink;
#pragma unroll
      for (int i = 0; i < kDims; i++) acc[i] *= shrink;
#pragma unroll
      for (int j = 0; j < kStep; j++) {
        const float p = expf(s[j] - top);
        total += p;
        const float4* value = values4 + (step + j) * (kPadded / 4);
#pragma unroll
        for (int g = 0; g < kGroups; g++) {
          const float4 x = value[g * kSplit + part];
          acc[4 * g] += p * x.x;
          acc[4 * g + 1] += p * x.y;
          acc[4 * g + 2] += p * x.z;
          acc[4 * g + 3] += p * x.w;
        }
      }
    }
  }
  if (!visible) return;
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    const size_t d = (i / 4 * kSplit + part) * 4 + i % 4;
    if (d < a.head_size) a.out[(begin + query) * a.ldo + column + d] = acc[i] / total;
  }
}

__global__ void __launch_bounds__(kThreads) attend_one(AttentionArguments a) {
  const size_t item = blockIdx.x * size_t(kThreads / 32) + threadIdx.x / 32;
  if (item >= a.texts * a.heads) return;  // a whole warp
  const unsigned lane = threadIdx.x % 32;
  const size_t text = item / a.heads, column = item % a.heads * a.head_size;
  const size_t begin = a.offsets[text], length = a.offsets[text + 1] - begin;
  if (length == 0) return;
  const size_t visible = a.causal ? a.queries[text] + size_t(1) : length;
  const float *q = a.q + text * a.ldq + column, *k = a.k + begin * a.ldkv + column, *v = a.v + begin * a.ldkv + column;
  float acc[kMaxHeadSize / 32] = {}, largest = -INFINITY, total = 0.0f;
  for (size_t tile = 0; tile < visible; tile += 32) {
    float s = -INFINITY;
    if (tile + lane < visible) {
      s = 0.0f;
      for (size_t d = 0; d < a.head_size; d++) s += q[d] * k[(tile + lane) * a.ldkv + d];
      s *= a.scale;
    }
    const float top = fmaxf(largest, warp_max(s)), shrink = expf(largest - top), p = expf(s - top);
    largest = top;
    total = total * shrink + warp_sum(p);
    const int count = visible - tile < 32 ? int(visible - tile) : 32;
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
  a.blocks_per_text = blocks_of(longest, kThreads / kSplit);
  WARP_LAUNCH(attend_all<kSplit>, dim3(unsigned(a.texts * a.blocks_per_text), unsigned(a.heads)), kThreads, 0, stream,
              a);
}

}  // namespace

void attention(size_t texts, size_t longest, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
               const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
               float* out, size_t ldo, cudaStream_t stream) {
  if (head_size == 0 || head_size > kMaxHeadSize)
    throw internal_error("attention on CUDA takes heads of 1 to 256, not " + std::to_string(head_size));
  const AttentionArguments a{offsets, queries, texts, heads, head_size, 0,   q,
                             k,       v,       ldq,   ldkv,  ldo,       out, float(1 / sqrt(double(head_size))),
                             causal};
  if (queries) {
    WARP_LAUNCH(attend_one, blocks_of(texts * heads, kThreads / 32), kThreads, 0, stream, a);
  } else if (head_size <= 32) {
    run_all<1>(a, longest, stream);
  } else if (head_size <= 64) {
    run_all<2>(a, longest, stream);
  } else if (head_size <= 128) {
    run_all<4>(a, longest, stream);
  } else {
    run_all<8>(a, longest, stream);
  }
}

}  // namespace warp::cuda
