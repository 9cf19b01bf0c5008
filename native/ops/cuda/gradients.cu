// Gradients of a head over its path: directions, preconditioned inner products, and every sample's own. An element is a
// weight or, last in its row, a bias: rows × (inputs + 1). Sums are float64 in fixed trees.
//   products: a block takes 4096 elements of one pair of vectors; one warp adds its blocks up.
//   norms:    a block per sample; a thread owns columns, and takes 8 rows at once for each value it reads.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kRowsPerBlock = kThreads / 32, kRows = 8;
constexpr size_t kChunk = 4096;

__global__ void __launch_bounds__(kThreads)
    direction_kernel(size_t count, size_t inputs, const float* from, const float* from_bias, const float* to,
                     const float* to_bias, float* out) {
  const size_t at = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (at >= count) return;
  const size_t row = at / (inputs + 1), column = at % (inputs + 1), i = row * inputs + column;
  out[at] = column < inputs ? to[i] - from[i] : to_bias[row] - from_bias[row];
}

__global__ void __launch_bounds__(kThreads)
    weights_kernel(size_t count, const double* mean_squares, double terms, double* weights) {
  const size_t at = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (at < count) weights[at] = mean_squares[at] > 0 ? terms / mean_squares[at] : 0;
}

struct Vectors {  // A_0 … A_{domains − 1}, δ
  size_t domains, stride, count;
  const double* means;
  const float* delta;
  const double* weights;
};

// The pair a block works on: row ≥ column of a triangle, row by row.
__device__ __forceinline__ void find_pair(unsigned pair, unsigned& row, unsigned& column) {
  row = 0;
  while (pair > row) pair -= ++row;
  column = pair;
}

__global__ void __launch_bounds__(kThreads) products_chunk(Vectors v, double* partial) {
  WARP_SHARED(double, room, kThreads / 32);
  unsigned left, right;
  find_pair(blockIdx.x, left, right);
  const bool left_is_delta = left == v.domains, right_is_delta = right == v.domains;
  const double *a = v.means + left * v.stride, *b = v.means + right * v.stride;
  const size_t begin = blockIdx.y * kChunk, end = v.count - begin < kChunk ? v.count : begin + kChunk;
  double sum = 0;
  for (size_t at = begin + threadIdx.x; at < end; at += kThreads) {
    const double x = left_is_delta ? double(v.delta[at]) : a[at], y = right_is_delta ? double(v.delta[at]) : b[at];
    const double weight = v.weights && !right_is_delta ? (left_is_delta ? sqrt(v.weights[at]) : v.weights[at]) : 1;
    sum += x * y * weight;
  }
  sum = block_sum<kThreads>(sum, room);
  if (threadIdx.x == 0) partial[blockIdx.x * size_t(gridDim.y) + blockIdx.y] = sum;
}

__global__ void products_total(size_t chunks, size_t width, const double* partial, double* out) {
  double sum = 0;
  for (size_t chunk = threadIdx.x; chunk < chunks; chunk += 32) sum += partial[blockIdx.x * chunks + chunk];
  sum = warp_sum(sum);
  unsigned row, column;
  find_pair(blockIdx.x, row, column);
  if (threadIdx.x == 0) out[row * width + column] = sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    along_kernel(size_t count, size_t inputs, const T* from, const double* weights, float* weight, float* bias) {
  const size_t at = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (at >= count) return;
  const size_t row = at / (inputs + 1), column = at % (inputs + 1);
  const bool mean = sizeof(T) == sizeof(double);  // else δ
  const double by = !weights ? 1 : mean ? weights[at] : sqrt(weights[at]);
  (column < inputs ? weight[row * inputs + column] : bias[row]) = float(double(from[at]) * by);
}

__global__ void __launch_bounds__(kThreads)
    add_products_kernel(size_t rows, size_t size, const float* x, size_t ldx, const float* y, size_t ldy, double scale,
                        double* out, size_t stride) {
  const size_t row = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (row >= rows) return;  // a whole warp
  double sum = 0;
  for (size_t j = threadIdx.x % 32; j < size; j += 32) sum += double(x[row * ldx + j]) * double(y[row * ldy + j]);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) out[row * stride] += scale * sum;
}

struct Norms {
  GradientShape shape;
  const float* left;
  size_t ldl, left_stride;
  const float* right;
  size_t ldr, right_stride;
  const double* weights;
  double* out;
  size_t stride;
};

__global__ void __launch_bounds__(kThreads) norms_kernel(Norms a) {
  WARP_SHARED(double, room, kThreads / 32);
  const GradientShape& s = a.shape;
  const size_t width = s.inputs + 1, sample = blockIdx.x;
  double total = 0;
  for (size_t row0 = 0; row0 < s.rows; row0 += kRows)
    for (size_t column = threadIdx.x; column < width; column += kThreads) {
      double g[kRows] = {};
      for (size_t k = 0; k < s.points; k++) {
        const float* left = a.left + k * a.left_stride + sample * a.ldl;
        const double x = column < s.inputs ? double(a.right[k * a.right_stride + sample * a.ldr + column]) : 1.0;
#pragma unroll
        for (int r = 0; r < kRows; r++)
          if (row0 + r < s.rows) g[r] += double(left[row0 + r]) * x;
      }
#pragma unroll
      for (int r = 0; r < kRows; r++)
        if (row0 + r < s.rows) {
          const double mean = g[r] / double(s.points);
          total += mean * mean * (a.weights ? a.weights[(row0 + r) * width + column] : 1.0);
        }
    }
  total = block_sum<kThreads>(total, room);
  if (threadIdx.x == 0) a.out[sample * a.stride] = total;
}

unsigned pairs_of(size_t domains) { return unsigned((domains + 1) * (domains + 2) / 2); }

}  // namespace

void direction(size_t rows, size_t inputs, const float* from, const float* from_bias, const float* to,
               const float* to_bias, float* out, cudaStream_t stream) {
  const size_t count = rows * (inputs + 1);
  WARP_LAUNCH(direction_kernel, blocks_of(count, kThreads), kThreads, 0, stream, count, inputs, from, from_bias, to,
              to_bias, out);
}

void gradient_weights(size_t count, const double* mean_squares, double terms, double* weights, cudaStream_t stream) {
  WARP_LAUNCH(weights_kernel, blocks_of(count, kThreads), kThreads, 0, stream, count, mean_squares, terms, weights);
}

size_t products_workspace(size_t domains, size_t count) {
  return size_t(pairs_of(domains)) * blocks_of(count, kChunk) * sizeof(double);
}

void gradient_products(size_t domains, size_t stride, size_t count, const double* means, const float* delta,
                       const double* weights, double* out, void* workspace, cudaStream_t stream) {
  const unsigned chunks = blocks_of(count, kChunk), pairs = pairs_of(domains);
  auto* partial = static_cast<double*>(workspace);
  const Vectors v{domains, stride, count, means, delta, weights};
  WARP_LAUNCH(products_chunk, dim3(pairs, chunks), kThreads, 0, stream, v, partial);
  WARP_LAUNCH(products_total, pairs, 32, 0, stream, size_t(chunks), domains + 1, partial, out);
}

void mean_along(size_t rows, size_t inputs, const double* mean, const double* weights, float* weight, float* bias,
                cudaStream_t stream) {
  const size_t count = rows * (inputs + 1);
  WARP_LAUNCH(along_kernel<double>, blocks_of(count, kThreads), kThreads, 0, stream, count, inputs, mean, weights,
              weight, bias);
}

void delta_along(size_t rows, size_t inputs, const float* delta, const double* weights, float* weight, float* bias,
                 cudaStream_t stream) {
  const size_t count = rows * (inputs + 1);
  WARP_LAUNCH(along_kernel<float>, blocks_of(count, kThreads), kThreads, 0, stream, count, inputs, delta, weights,
              weight, bias);
}

void add_products(size_t rows, size_t size, const float* x, size_t ldx, const float* y, size_t ldy, double scale,
                  double* out, size_t stride, cudaStream_t stream) {
  WARP_LAUNCH(add_products_kernel, blocks_of(rows, kRowsPerBlock), kThreads, 0, stream, rows, size, x, ldx, y, ldy,
              scale, out, stride);
}

void gradient_norms(const GradientShape& shape, const float* left, size_t ldl, size_t left_stride, const float* right,
                    size_t ldr, size_t right_stride, const double* weights, double* out, size_t stride,
                    cudaStream_t stream) {
  const Norms a{shape, left, ldl, left_stride, right, ldr, right_stride, weights, out, stride};
  WARP_LAUNCH(norms_kernel, unsigned(shape.samples), kThreads, 0, stream, a);
}

}  // namespace warp::cuda
