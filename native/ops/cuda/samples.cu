// Samples of gradients: some outputs of a linear layer's dW = dyᵀ x text by text, with the squares; sums by column.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kOutputs = 4;

// A thread has one input of four outputs, and goes through the rows in order.
__global__ void __launch_bounds__(kThreads) outer_kernel(OuterSample s) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x, first = blockIdx.y * size_t(kOutputs);
  if (column >= s.inputs) return;
  const size_t count = s.outputs - first < kOutputs ? s.outputs - first : kOutputs;
  float sum[kOutputs] = {}, square[kOutputs] = {};
  for (size_t text = 0; text < s.texts; text++) {
    float own[kOutputs] = {};
    for (size_t row = s.first[text]; row < s.first[text + 1]; row++) {
      const float x = s.x[row * s.ldx + column];
#pragma unroll
      for (size_t i = 0; i < kOutputs; i++)
        if (i < count) own[i] += s.dy[row * s.lddy + s.output[first + i]] * x;
    }
#pragma unroll
    for (size_t i = 0; i < kOutputs; i++) {
      sum[i] += own[i];
      square[i] += own[i] * own[i];
    }
  }
  for (size_t i = 0; i < count; i++) {
    s.sum[(first + i) * s.inputs + column] += sum[i];
    s.square[(first + i) * s.inputs + column] += square[i];
  }
}

__global__ void column_kernel(size_t rows, size_t size, const float* x, size_t ldx, float* sum) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  double total = 0;
  for (size_t row = 0; row < rows; row++) total += double(x[row * ldx + column]);
  sum[column] += float(total);
}

__global__ void spread_kernel(size_t texts, const uint32_t* offsets, size_t size, const float* x, float* y) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  for (size_t text = blockIdx.y; text < texts; text += gridDim.y) {
    const size_t begin = offsets[text], end = offsets[text + 1];
    const float value = x[text * size + column] / float(end - begin);
    for (size_t row = begin; row < end; row++) y[row * size + column] = value;
  }
}

__global__ void rounded_kernel(size_t count, const double* from, float* to) {
  const size_t i = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (i < count) to[i] += float(from[i]);
}

}  // namespace

void add_outer(const OuterSample& s, cudaStream_t stream) {
  WARP_LAUNCH(outer_kernel, dim3(blocks_of(s.inputs, kThreads), blocks_of(s.outputs, kOutputs)), kThreads, 0, stream,
              s);
}

void add_columns(size_t rows, size_t size, const float* x, size_t ldx, float* sum, cudaStream_t stream) {
  WARP_LAUNCH(column_kernel, blocks_of(size, kThreads), kThreads, 0, stream, rows, size, x, ldx, sum);
}

void spread_rows(size_t texts, const uint32_t* offsets, size_t size, const float* x, float* y, cudaStream_t stream) {
  WARP_LAUNCH(spread_kernel, row_grid_of<kThreads>(texts, size), kThreads, 0, stream, texts, offsets, size, x, y);
}

void add_rounded(size_t count, const double* from, float* to, cudaStream_t stream) {
  WARP_LAUNCH(rounded_kernel, blocks_of(count, kThreads), kThreads, 0, stream, count, from, to);
}

}  // namespace warp::cuda
