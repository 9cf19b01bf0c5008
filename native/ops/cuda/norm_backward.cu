// Gradients of norm, in three steps: mean and 1 / √(…) of every row and group (one warp each, float64 sums); gradients
// of gain and bias, sums over rows and groups by column (a block takes 32 columns, its eight warps every eighth row;
// they are added in order); dx (one warp per row and group), which may take dy's place and so comes last.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

struct Arguments {
  size_t items, groups, size, ldx, lddy, lddx;  // items: rows · groups
  const float *x, *gain, *dy;
  float eps, offset;
  bool center;
  float *dx, *stats;  // stats: items × 2
  double *dgain, *dbias;

  __device__ __forceinline__ size_t place(size_t item, size_t ld) const {
    return item / groups * ld + item % groups * size;
  }
};

__global__ void stats_kernel(Arguments a) {
  const size_t item = blockIdx.x * size_t(kWarps) + threadIdx.x / 32;
  if (item >= a.items) return;  // a whole warp
  const float* x = a.x + a.place(item, a.ldx);
  const double count = double(a.size);
  double total = 0, squares = 0;
  if (a.center)
    for (size_t j = threadIdx.x % 32; j < a.size; j += 32) total += x[j];
  const double mean = a.center ? warp_sum(total) / count : 0.0;
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) squares += (x[j] - mean) * (x[j] - mean);
  const double scale = 1 / sqrt(warp_sum(squares) / count + double(a.eps));
  if (threadIdx.x % 32 != 0) return;
  a.stats[2 * item] = float(mean);
  a.stats[2 * item + 1] = float(scale);
}

__global__ void __launch_bounds__(kThreads) sums_kernel(Arguments a) {
  WARP_SHARED(double, room, 2 * kThreads);
  const size_t column = blockIdx.x * size_t(32) + threadIdx.x % 32;
  double gain = 0, bias = 0;
  if (column < a.size)
    for (size_t item = threadIdx.x / 32; item < a.items; item += kWarps) {
      const double dy = a.dy[a.place(item, a.lddy) + column];
      gain += dy * double((a.x[a.place(item, a.ldx) + column] - a.stats[2 * item]) * a.stats[2 * item + 1]);
      bias += dy;
    }
  room[threadIdx.x] = gain;
  room[kThreads + threadIdx.x] = bias;
  __syncthreads();
  if (threadIdx.x >= 32 || column >= a.size) return;
  for (int warp = 1; warp < kWarps; warp++) {
    gain += room[32 * warp + threadIdx.x];
    bias += room[kThreads + 32 * warp + threadIdx.x];
  }
  a.dgain[column] += gain;
  if (a.dbias) a.dbias[column] += bias;
}

// With g = dy ⊙ (offset + gain): dx = (g − mean(g) − x̂ mean(g ⊙ x̂)) / √(…); without mean(g) where nothing is
// centred.
__global__ void dx_kernel(Arguments a) {
  const size_t item = blockIdx.x * size_t(kWarps) + threadIdx.x / 32;
  if (item >= a.items) return;  // a whole warp
  const float* x = a.x + a.place(item, a.ldx);
  const float* dy = a.dy + a.place(item, a.lddy);
  float* dx = a.dx + a.place(item, a.lddx);
  const float center = a.stats[2 * item], factor = a.stats[2 * item + 1];
  double plain = 0, mixed = 0;
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) {
    const double g = double(dy[j]) * double(a.offset + a.gain[j]);
    plain += g;
    mixed += g * double((x[j] - center) * factor);
  }
  const double count = double(a.size);
  const float shift = a.center ? float(warp_sum(plain) / count) : 0.0f, slope = float(warp_sum(mixed) / count);
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32)  // a lane overwrites only what it alone reads
    dx[j] = (dy[j] * (a.offset + a.gain[j]) - shift - (x[j] - center) * factor * slope) * factor;
}

}  // namespace

void norm_backward(const NormCall& c, ConstMatrix x, const NormGradients& d, float* stats, cudaStream_t stream) {
  const Arguments a{c.rows * c.groups, c.groups, c.size,   x.ld, d.lddy, d.lddx, x.data, c.gain, d.dy,
                    c.epsilon,         c.offset, c.center, d.dx, stats,  d.gain, d.bias};
  if (a.items == 0) return;
  WARP_LAUNCH(stats_kernel, blocks_of(a.items, kWarps), kThreads, 0, stream, a);
  WARP_LAUNCH(sums_kernel, blocks_of(a.size, 32), kThreads, 0, stream, a);
  WARP_LAUNCH(dx_kernel, blocks_of(a.items, kWarps), kThreads, 0, stream, a);
}

}  // namespace warp::cuda
