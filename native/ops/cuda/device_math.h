#pragma once
// Small device functions the kernels share: sums over a warp and over a block in a fixed tree.
#include "ops/cuda/runtime.h"

namespace warp::cuda {

constexpr unsigned kWholeWarp = 0xffffffffu;

template <class T>
__device__ __forceinline__ T warp_sum(T value) {  // every lane gets it
  for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(kWholeWarp, value, bits);
  return value;
}

__device__ __forceinline__ float warp_max(float value) {
  for (int bits = 16; bits > 0; bits /= 2) value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, bits));
  return value;
}

// Sum over a block of kThreads; thread 0 gets it. `room`: shared, one T per warp; free again after a __syncthreads().
template <int kThreads, class T>
__device__ __forceinline__ T block_sum(T value, T* room) {
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = value;
  __syncthreads();
  T total = 0;
  if (threadIdx.x == 0)
    for (int warp = 0; warp < kThreads / 32; warp++) total += room[warp];
  return total;
}

inline bool aligned16(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

// A grid of one thread per column in blocks of kThreads; rows over the second dimension, taken in turn beyond 32768.
template <int kThreads>
dim3 row_grid_of(size_t rows, size_t size) {
  return dim3(blocks_of(size, kThreads), unsigned(rows < 32768 ? rows : 32768));
}

}  // namespace warp::cuda
