// y = act(y + bias), rows × size. One thread per element, rows over the grid's second dimension.
#include "ops/cuda/kernels.h"
#include "ops/cuda/runtime.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256;
constexpr unsigned kMostRows = 32768;  // of a grid; more are taken in turn

template <Activation kAct>
__device__ __forceinline__ float activated(float x) {
  if (kAct == Activation::kGelu) return 0.5f * x * erfcf(-0.70710678f * x);
  if (kAct == Activation::kGeluTanh) return x / (1.0f + expf(-1.5957691f * (x + 0.044715f * x * x * x)));
  if (kAct == Activation::kRelu) return x > 0.0f ? x : 0.0f;
  if (kAct == Activation::kTanh) return tanhf(x);
  return x;
}

template <Activation kAct>
__global__ void activate_kernel(size_t rows, size_t size, const float* bias, float* y, size_t ldy) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  const float b = bias ? bias[column] : 0.0f;
  for (size_t row = blockIdx.y; row < rows; row += gridDim.y)
    y[row * ldy + column] = activated<kAct>(y[row * ldy + column] + b);
}

template <Activation kAct>
void run(size_t rows, size_t size, const float* bias, float* y, size_t ldy, cudaStream_t stream) {
  const dim3 grid(blocks_of(size, kThreads), unsigned(rows < kMostRows ? rows : kMostRows));
  WARP_LAUNCH(activate_kernel<kAct>, grid, kThreads, 0, stream, rows, size, bias, y, ldy);
}

}  // namespace

void activate(size_t rows, size_t size, const float* bias, Activation act, float* y, size_t ldy, cudaStream_t stream) {
  switch (act) {
    case Activation::kGelu: return run<Activation::kGelu>(rows, size, bias, y, ldy, stream);
    case Activation::kGeluTanh: return run<Activation::kGeluTanh>(rows, size, bias, y, ldy, stream);
    case Activation::kRelu: return run<Activation::kRelu>(rows, size, bias, y, ldy, stream);
    case Activation::kTanh: return run<Activation::kTanh>(rows, size, bias, y, ldy, stream);
    case Activation::kNone:
      if (bias) run<Activation::kNone>(rows, size, bias, y, ldy, stream);
  }
}

}  // namespace warp::cuda
