// Softmax, cross-entropy and residuals: p = softmax(z), loss = log Σ_c e^(z_c − m) − (z_y − m), residual = p −
// onehot(y), m = max z. Of classes: one warp per row of logits, in float64 (rows are short). Of a vocabulary: one block
// per row, float32 exponentials in a float64 sum.
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

constexpr int kWideThreads = 256;

// The largest of a row, to every thread of a block of kWideThreads.
__device__ float row_top(size_t size, const float* z, float* tops) {
  float top = -INFINITY;
  for (size_t j = threadIdx.x; j < size; j += kWideThreads) top = fmaxf(top, z[j]);
  top = warp_max(top);
  if (threadIdx.x % 32 == 0) tops[threadIdx.x / 32] = top;
  __syncthreads();
  for (int warp = 0; warp < kWideThreads / 32; warp++) top = fmaxf(top, tops[warp]);
  return top;
}

// e may be the logits: a thread reads back only what it wrote itself, and the target's logit is read before that.
__global__ void __launch_bounds__(kWideThreads)
    language_kernel(size_t size, const float* logits, size_t ld, const uint32_t* target, double* loss, float weight,
                    float* e, size_t lde) {
  WARP_SHARED(float, tops, kWideThreads / 32);
  WARP_SHARED(double, room, kWideThreads / 32);
  WARP_SHARED(double, sum, 1);
  const size_t row = blockIdx.x, goal = target[row];
  const float* z = logits + row * ld;
  float* to = e ? e + row * lde : nullptr;
  const double aim = double(z[goal]);
  const float top = row_top(size, z, tops);
  double total = 0;
  for (size_t j = threadIdx.x; j < size; j += kWideThreads) {
    const float p = expf(z[j] - top);
    total += double(p);
    if (to) to[j] = p;
  }
  total = block_sum<kWideThreads>(total, room);
  if (threadIdx.x == 0) {
    loss[row] = log(total) + (double(top) - aim);
    sum[0] = total;
  }
  if (!to) return;  // the whole block
  __syncthreads();
  const float factor = float(double(weight) / sum[0]);
  for (size_t j = threadIdx.x; j < size; j += kWideThreads) to[j] = to[j] * factor - (j == goal ? weight : 0.0f);
}

// Loss and its slope along dz, which may be null: z is read twice, dz once, nothing as wide as a row is written.
__global__ void __launch_bounds__(kWideThreads)
    language_loss_kernel(size_t size, const float* logits, size_t ld, const float* tangents, size_t ldt,
                         const uint32_t* target, double* loss, double* slope) {
  WARP_SHARED(float, tops, kWideThreads / 32);
  WARP_SHARED(double, totals, kWideThreads / 32);
  WARP_SHARED(double, slopes, kWideThreads / 32);
  const size_t row = blockIdx.x, goal = target[row];
  const float* z = logits + row * ld;
  const float* dz = tangents ? tangents + row * ldt : nullptr;
  const float top = row_top(size, z, tops);
  double total = 0, along = 0;
  for (size_t j = threadIdx.x; j < size; j += kWideThreads) {
    const float p = expf(z[j] - top);
    total += double(p);
    if (dz) along += double(p) * double(dz[j]);
  }
  total = block_sum<kWideThreads>(total, totals);
  along = block_sum<kWideThreads>(along, slopes);
  if (threadIdx.x != 0) return;
  loss[row] = log(total) + (double(top) - double(z[goal]));
  if (dz) slope[row] = along / total - double(dz[goal]);
}

__global__ void __launch_bounds__(kWideThreads)
    row_dots_kernel(size_t size, const float* a, size_t lda, const float* b, size_t ldb, double* dots) {
  WARP_SHARED(double, room, kWideThreads / 32);
  const float *u = a + blockIdx.x * lda, *v = b + blockIdx.x * ldb;
  double total = 0;
  for (size_t j = threadIdx.x; j < size; j += kWideThreads) total += double(u[j]) * double(v[j]);
  total = block_sum<kWideThreads>(total, room);
  if (threadIdx.x == 0) dots[blockIdx.x] = total;
}

}  // namespace

void cross_entropy(size_t rows, size_t size, ConstMatrix logits, const uint32_t* target, double* loss, float weight,
                   Matrix e, cudaStream_t stream) {
  WARP_LAUNCH(language_kernel, unsigned(rows), kWideThreads, 0, stream, size, logits.data, logits.ld, target, loss,
              weight, e.data, e.ld);
}

void language_loss(size_t rows, size_t size, ConstMatrix logits, ConstMatrix tangents, const uint32_t* target,
                   double* loss, double* slope, cudaStream_t stream) {
  WARP_LAUNCH(language_loss_kernel, unsigned(rows), kWideThreads, 0, stream, size, logits.data, logits.ld,
              tangents.data, tangents.ld, target, loss, slope);
}

void row_dots(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, double* dots, cudaStream_t stream) {
  WARP_LAUNCH(row_dots_kernel, unsigned(rows), kWideThreads, 0, stream, size, a.data, a.ld, b.data, b.ld, dots);
}

void cross_entropy(size_t rows, size_t classes, const float* logits, size_t ld, const int32_t* labels, double* loss,
                   float* residual, size_t lde, cudaStream_t stream) {
  WARP_LAUNCH(cross_entropy_kernel, blocks_of(rows, kRowsPerBlock), kThreads, 0, stream, rows, classes, logits, ld,
              labels, loss, residual, lde);
}

}  // namespace warp::cuda
