// Sums over a pair of tensors in one reading. A block takes 16 384 elements whatever the GPU, each thread 8 at a time
// in turn; its sums go to the workspace, where one block adds them up: a fixed tree.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/stored.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256;
constexpr size_t kChunk = 16384;
constexpr int kSums = 7;  // of PairStatistics, before `largest`

__device__ __forceinline__ void collect(double* sum, double& largest, float left, float right, bool keep) {
  const double l = left, r = right, d = r - l, size = fabs(d);
  sum[0] += l * l;
  sum[1] += r * r;
  sum[2] += l * r;
  sum[3] += d * d;
  sum[4] += size;
  sum[5] += keep ? size : 0.0;
  sum[6] += keep ? 1.0 : 0.0;
  largest = size > largest ? size : largest;
}

// Sums and largest of the block, to `out` by thread 0.
__device__ void reduce_block(const double* sum, double largest, PairStatistics* out) {
  WARP_SHARED(double, room, kThreads / 32);
  double total[kSums];
  for (int i = 0; i < kSums; i++) {
    total[i] = block_sum<kThreads>(sum[i], room);
    __syncthreads();
  }
  for (int bits = 16; bits > 0; bits /= 2) largest = fmax(largest, __shfl_xor_sync(kWholeWarp, largest, bits));
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = largest;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 0; warp < kThreads / 32; warp++) largest = fmax(largest, room[warp]);
  *out = {total[0], total[1], total[2], total[3], total[4], total[5], total[6], largest};
}

__global__ void __launch_bounds__(kThreads)
    statistics_chunk(Stored l, Stored r, const uint8_t* keep, size_t count, bool aligned, PairStatistics* out) {
  const size_t begin = blockIdx.x * kChunk, end = count - begin < kChunk ? count : begin + kChunk;
  double sum[kSums] = {}, largest = 0;
  for (size_t i = begin + threadIdx.x * kLot; i < end; i += size_t(kThreads) * kLot) {
    if (aligned && i + kLot <= end) {
      float left[kLot], right[kLot];
      load_lot(l.data, l.dtype, i, left);
      load_lot(r.data, r.dtype, i, right);
#pragma unroll
      for (int j = 0; j < kLot; j++) collect(sum, largest, left[j], right[j], !keep || keep[i + j]);
    } else {
      for (size_t j = i; j < i + kLot && j < end; j++)
        collect(sum, largest, load_one(l.data, l.dtype, j), load_one(r.data, r.dtype, j), !keep || keep[j]);
    }
  }
  reduce_block(sum, largest, out + blockIdx.x);
}

__global__ void __launch_bounds__(kThreads)
    statistics_total(const PairStatistics* parts, size_t count, PairStatistics* out) {
  double sum[kSums] = {}, largest = 0;
  for (size_t i = threadIdx.x; i < count; i += kThreads) {
    const PairStatistics& p = parts[i];
    const double part[kSums] = {p.base2, p.reference2, p.product, p.delta2, p.delta1, p.kept1, p.kept};
    for (int j = 0; j < kSums; j++) sum[j] += part[j];
    largest = fmax(largest, p.largest);
  }
  reduce_block(sum, largest, out);
}

}  // namespace

size_t statistics_workspace(size_t count) { return blocks_of(count, kChunk) * sizeof(PairStatistics); }

void pair_statistics(Stored l, Stored r, const uint8_t* keep, size_t count, PairStatistics* out, void* workspace,
                     cudaStream_t stream) {
  auto* parts = static_cast<PairStatistics*>(workspace);
  const unsigned blocks = blocks_of(count, kChunk);
  const bool aligned = aligned16(l.data) && aligned16(r.data);
  WARP_LAUNCH(statistics_chunk, blocks, kThreads, 0, stream, l, r, keep, count, aligned, parts);
  WARP_LAUNCH(statistics_total, 1, kThreads, 0, stream, parts, size_t(blocks), out);
}

}  // namespace warp::cuda
