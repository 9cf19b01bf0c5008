// Exact order statistics of |r − l| without sorting: a radix select on the 32 bits of the magnitude as float32, eight
// at a time from the top. Each pass counts the elements that share the bits found so far by their next eight (integers:
// the order of additions does not matter), and walks down from the largest. Ties at the threshold: chunks count theirs,
// and the chunk that holds the last one wanted is searched in order.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/stored.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256;
constexpr size_t kChunk = 16384;

struct Search {
  unsigned counts[256];  // of the pass
  uint32_t key;  // bits found so far, the others zero
  unsigned padding;
  uint64_t rest;  // rank among the elements that share them, from 1
};

__global__ void begin_search(Search* s, uint64_t rank) {
  s->counts[threadIdx.x] = 0;
  if (threadIdx.x != 0) return;
  s->key = 0;
  s->rest = rank;
}

__global__ void __launch_bounds__(kThreads) count_digits(Stored l, Stored r, size_t count, int shift, Search* s) {
  WARP_SHARED(unsigned, mine, 256);
  mine[threadIdx.x] = 0;
  __syncthreads();
  const size_t begin = blockIdx.x * kChunk, end = count - begin < kChunk ? count : begin + kChunk;
  const uint32_t found = shift == 24 ? 0 : ~uint32_t(0) << (shift + 8), key = s->key;
  for (size_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const uint32_t k = key_of(l, r, i);
    if ((k & found) == key) atomicAdd(&mine[(k >> shift) & 255u], 1u);
  }
  __syncthreads();
  if (mine[threadIdx.x]) atomicAdd(&s->counts[threadIdx.x], mine[threadIdx.x]);
}

__global__ void choose_digit(Search* s, int shift) {
  WARP_SHARED(unsigned, counts, 256);
  counts[threadIdx.x] = s->counts[threadIdx.x];
  s->counts[threadIdx.x] = 0;  // for the next pass
  __syncthreads();
  if (threadIdx.x != 0) return;
  uint64_t rest = s->rest;
  int digit = 255;
  while (digit > 0 && rest > counts[digit]) rest -= counts[digit--];
  s->key |= uint32_t(digit) << shift;
  s->rest = rest;
}

__global__ void __launch_bounds__(kThreads)
    count_ties(Stored l, Stored r, size_t count, const Search* s, unsigned* ties) {
  WARP_SHARED(unsigned, room, kThreads / 32);
  const size_t begin = blockIdx.x * kChunk, end = count - begin < kChunk ? count : begin + kChunk;
  unsigned mine = 0;
  for (size_t i = begin + threadIdx.x; i < end; i += kThreads) mine += key_of(l, r, i) == s->key;
  const unsigned total = block_sum<kThreads>(mine, room);
  if (threadIdx.x == 0) ties[blockIdx.x] = total;
}

// One warp: finds the chunk, then goes through it 32 elements at a time.
__global__ void find_index(Stored l, Stored r, size_t count, const Search* s, const unsigned* ties, DeviceCut* out) {
  uint64_t rest = s->rest;
  size_t chunk = 0;
  while (rest > ties[chunk]) rest -= ties[chunk++];
  for (size_t i = chunk * kChunk; i < count; i += 32) {
    const size_t at = i + threadIdx.x;
    const unsigned equal = __ballot_sync(kWholeWarp, at < count && key_of(l, r, at) == s->key);
    const unsigned here = unsigned(__popc(equal));
    if (rest > here) {
      rest -= here;
      continue;
    }
    const unsigned upto = equal & (~0u >> (31 - threadIdx.x));  // lanes up to this one
    if ((equal >> threadIdx.x & 1u) && uint64_t(__popc(upto)) == rest) *out = {s->key, at + 1};
    return;
  }
}

__global__ void set_cut(DeviceCut* out, DeviceCut value) { *out = value; }

__global__ void __launch_bounds__(kThreads)
    mask_kernel(Stored l, Stored r, Place place, size_t count, DeviceCut from, DeviceCut to, uint8_t* keep) {
  const size_t i = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (i >= count) return;
  const uint32_t key = key_of(l, r, i);
  const uint64_t at = element_of(place, i);
  const auto before = [&](const DeviceCut& cut) { return key > cut.key || (key == cut.key && at < cut.index); };
  keep[i] = before(to) && !before(from);
}

}  // namespace

size_t select_workspace(size_t count) { return sizeof(Search) + blocks_of(count, kChunk) * sizeof(unsigned); }

void select_first(Stored l, Stored r, size_t count, uint64_t rank, DeviceCut* out, void* workspace,
                  cudaStream_t stream) {
  if (rank == 0 || rank >= count) {
    const DeviceCut value = rank == 0 ? DeviceCut{~0u, 0} : DeviceCut{0, count};
    WARP_LAUNCH(set_cut, 1, 1, 0, stream, out, value);
    return;
  }
  auto* search = static_cast<Search*>(workspace);
  auto* ties = reinterpret_cast<unsigned*>(search + 1);
  const unsigned blocks = blocks_of(count, kChunk);
  WARP_LAUNCH(begin_search, 1, 256, 0, stream, search, rank);
  for (int shift = 24; shift >= 0; shift -= 8) {
    WARP_LAUNCH(count_digits, blocks, kThreads, 0, stream, l, r, count, shift, search);
    WARP_LAUNCH(choose_digit, 1, 256, 0, stream, search, shift);
  }
  WARP_LAUNCH(count_ties, blocks, kThreads, 0, stream, l, r, count, search, ties);
  WARP_LAUNCH(find_index, 1, 32, 0, stream, l, r, count, search, ties, out);
}

void mask_between(Stored l, Stored r, Place place, size_t count, DeviceCut from, DeviceCut to, uint8_t* keep,
                  cudaStream_t stream) {
  WARP_LAUNCH(mask_kernel, blocks_of(count, kThreads), kThreads, 0, stream, l, r, place, count, from, to, keep);
}

}  // namespace warp::cuda
