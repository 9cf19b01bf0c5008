// Random masks from the counter-based generator of core/random.h: Philox4x32-10, element i takes word i % 4 of block
// i / 4. mask_random: a thread per element. mask_ranked: a block per row; an element's rank is the number of elements
// of its row that come before it, counted against all of them (rows are short, and the row lies in shared memory by
// parts).
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/stored.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256;
constexpr size_t kPart = 2048;  // keys in shared memory

__device__ uint32_t random_word(uint32_t key0, uint32_t key1, uint64_t i) {
  uint32_t c0 = uint32_t(i / 4), c1 = uint32_t(i / 4 >> 32), c2 = 0, c3 = 0;
  for (int round = 0; round < 10; round++) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
    c0 = high1 ^ c1 ^ key0;
    c1 = low1;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  const unsigned word = unsigned(i % 4);
  return word == 0 ? c0 : word == 1 ? c1 : word == 2 ? c2 : c3;
}

__global__ void __launch_bounds__(kThreads)
    random_kernel(uint32_t key0, uint32_t key1, Place place, size_t count, double below, uint8_t* keep) {
  const size_t i = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (i < count) keep[i] = double(random_word(key0, key1, element_of(place, i))) < below;
}

__global__ void __launch_bounds__(kThreads) ranked_kernel(uint32_t key0, uint32_t key1, Place place, Stored l, Stored r,
                                                          size_t width, double low, double step, uint8_t* keep) {
  WARP_SHARED(uint32_t, keys, kPart);
  const size_t row = blockIdx.x * width;
  for (size_t first = 0; first < width; first += kThreads) {
    const size_t own = first + threadIdx.x;
    const uint32_t key = own < width ? key_of(l, r, row + own) : 0;
    size_t rank = 0;
    for (size_t part = 0; part < width; part += kPart) {
      const size_t size = width - part < kPart ? width - part : kPart;
      __syncthreads();
      for (size_t i = threadIdx.x; i < size; i += kThreads) keys[i] = key_of(l, r, row + part + i);
      __syncthreads();
      // smaller first, of equal ones the later
      for (size_t i = 0; i < size; i++) rank += keys[i] < key || (keys[i] == key && part + i > own);
    }
    if (own < width) {
      const double probability = __dadd_rn(low, __dmul_rn(step, double(rank)));
      keep[row + own] = double(random_word(key0, key1, element_of(place, row + own))) < probability * 4294967296.0;
    }
  }
}

}  // namespace

void mask_random(const uint32_t* key, Place place, size_t count, double below, uint8_t* keep, cudaStream_t stream) {
  WARP_LAUNCH(random_kernel, blocks_of(count, kThreads), kThreads, 0, stream, key[0], key[1], place, count, below,
              keep);
}

void mask_ranked(const uint32_t* key, Place place, Stored l, Stored r, size_t rows, size_t width, double low,
                 double step, uint8_t* keep, cudaStream_t stream) {
  WARP_LAUNCH(ranked_kernel, unsigned(rows), kThreads, 0, stream, key[0], key[1], place, l, r, width, low, step, keep);
}

}  // namespace warp::cuda
