// A classification head around its product with a pooler: logits (one warp per row, float64 sums), and the gradient at
// the pooler's pre-activation, a = (Wᵀ e) ⊙ (1 − h²) (one thread per element).
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kRowsPerBlock = kThreads / 32;
constexpr unsigned kMostRows = 32768;

__global__ void logits_kernel(size_t rows, size_t classes, size_t inputs, const float* h, size_t ldh,
                              const float* weight, const float* bias, float* logits, size_t ld) {
  const size_t row = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (row >= rows) return;  // a whole warp
  const unsigned lane = threadIdx.x % 32;
  for (size_t c = 0; c < classes; c++) {
    double sum = 0;
    for (size_t j = lane; j < inputs; j += 32) sum += double(weight[c * inputs + j]) * double(h[row * ldh + j]);
    sum = warp_sum(sum);
    if (lane == 0) logits[row * ld + c] = float(sum + bias[c]);
  }
}

__global__ void pooler_kernel(size_t rows, size_t classes, size_t inputs, const float* e, size_t lde,
                              const float* weight, const float* h, size_t ldh, float* a, size_t lda) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= inputs) return;
  for (size_t row = blockIdx.y; row < rows; row += gridDim.y) {
    double sum = 0;
    for (size_t c = 0; c < classes; c++) sum += double(e[row * lde + c]) * double(weight[c * inputs + column]);
    const double value = h ? h[row * ldh + column] : 0.0f;
    a[row * lda + column] = float(sum * (1 - value * value));
  }
}

}  // namespace

void head_logits(size_t rows, size_t classes, size_t inputs, const float* h, size_t ldh, const float* weight,
                 const float* bias, float* logits, size_t ld, cudaStream_t stream) {
  WARP_LAUNCH(logits_kernel, blocks_of(rows, kRowsPerBlock), kThreads, 0, stream, rows, classes, inputs, h, ldh, weight,
              bias, logits, ld);
}

void pooler_residual(size_t rows, size_t classes, size_t inputs, const float* e, size_t lde, const float* weight,
                     const float* h, size_t ldh, float* a, size_t lda, cudaStream_t stream) {
  const dim3 grid(blocks_of(inputs, kThreads), unsigned(rows < kMostRows ? rows : kMostRows));
  WARP_LAUNCH(pooler_kernel, grid, kThreads, 0, stream, rows, classes, inputs, e, lde, weight, h, ldh, a, lda);
}

}  // namespace warp::cuda
