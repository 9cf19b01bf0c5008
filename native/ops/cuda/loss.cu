// Softmax, cross-entropy and head residuals: one warp per row of logits, in float64 (rows are short).
//   p = softmax(z), loss = log Σ_c e^(z_c − m) − (z_y − m), residual = p − onehot(y), m = max z
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 128, kRowsPerBlock = kThreads / 32;

__global__ void cross_entropy_kernel(size_t rows, size_t classes, const float* logits, size_t ld, const int32_t* labels,
                                     double* loss, float* residual, size_t lde) {
  const size_t row = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (row >= rows) return;  // a whole warp
  const unsigned lane = threadIdx.x % 32;
  const float* z = logits + row * ld;
  float most = -INFINITY;
  for (size_t c = lane; c < classes; c += 32) most = fmaxf(most, z[c]);
  most = warp_max(most);
  double total = 0;
  for (size_t c = lane; c < classes; c += 32) total += exp(double(z[c]) - most);
  total = warp_sum(total);
  const int32_t label = labels[row];
  for (size_t c = lane; c < classes; c += 32)
    residual[row * lde + c] = float(exp(double(z[c]) - most) / total - (int64_t(c) == label ? 1.0 : 0.0));
  if (loss && lane == 0) loss[row] = label < 0 ? 0.0 : log(total) - (double(z[label]) - most);
}

}  // namespace

void cross_entropy(size_t rows, size_t classes, const float* logits, size_t ld, const int32_t* labels, double* loss,
                   float* residual, size_t lde, cudaStream_t stream) {
  WARP_LAUNCH(cross_entropy_kernel, blocks_of(rows, kRowsPerBlock), kThreads, 0, stream, rows, classes, logits, ld,
              labels, loss, residual, lde);
}

}  // namespace warp::cuda
