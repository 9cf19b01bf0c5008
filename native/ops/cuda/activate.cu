// Operations by element: activations, caps, products, and their slopes. One thread per element, rows over the grid's
// second dimension.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256;

template <Activation kAct>
__device__ __forceinline__ float activated(float x) {
  if (kAct == Activation::kGelu) return 0.5f * x * erfcf(-0.70710678f * x);
  if (kAct == Activation::kGeluTanh) return x / (1.0f + expf(-1.5957691f * (x + 0.044715f * x * x * x)));
  if (kAct == Activation::kRelu) return x > 0.0f ? x : 0.0f;
  if (kAct == Activation::kTanh) return tanhf(x);
  if (kAct == Activation::kSilu) return x / (1.0f + expf(-x));
  return x;
}

template <Activation kAct>
__device__ __forceinline__ float slope(float x) {
  if (kAct == Activation::kGelu) return 0.5f * erfcf(-0.70710678f * x) + x * (0.39894228f * expf(x * x * -0.5f));
  if (kAct == Activation::kGeluTanh) {
    const float s = 1.0f / (1.0f + expf(-1.5957691f * (x + 0.044715f * x * x * x)));
    return s + x * s * (1.0f - s) * (1.5957691f * (1.0f + 0.134145f * x * x));
  }
  if (kAct == Activation::kRelu) return x > 0.0f ? 1.0f : 0.0f;
  if (kAct == Activation::kTanh) {
    const float y = tanhf(x);
    return (1.0f - y) * (1.0f + y);
  }
  if (kAct == Activation::kSilu) {
    const float s = 1.0f / (1.0f + expf(-x));
    return s + x * s * (1.0f - s);
  }
  return 1.0f;
}

template <Activation kAct>
struct Activate {
  static __device__ __forceinline__ float of(float x, float, float bias) { return activated<kAct>(x + bias); }
};
template <Activation kAct>
struct Slope {
  static __device__ __forceinline__ float of(float x, float dx, float) { return dx * slope<kAct>(x); }
};
struct Multiply {
  static __device__ __forceinline__ float of(float a, float b, float) { return a * b; }
};
struct Subtract {
  static __device__ __forceinline__ float of(float y, float x, float) { return y - x; }
};
struct Scale {
  static __device__ __forceinline__ float of(float x, float, float factor) { return x * factor; }
};
struct Softcap {
  static __device__ __forceinline__ float of(float x, float, float cap) { return cap * tanhf(x / cap); }
};
struct SoftcapSlope {
  static __device__ __forceinline__ float of(float y, float dx, float cap) {
    return dx * ((1.0f - y / cap) * (1.0f + y / cap));
  }
};

struct Elements {
  size_t rows, size;
  const float *a, *b;  // b may be null
  size_t lda, ldb;
  const float* by_column;  // the third argument; null: `constant`
  float constant;
  float* y;
  size_t ldy;
};

template <class Operation, bool kAdd>
__global__ void element_kernel(Elements e) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= e.size) return;
  const float third = e.by_column ? e.by_column[column] : e.constant;
  for (size_t row = blockIdx.y; row < e.rows; row += gridDim.y) {
    const float v = Operation::of(e.a[row * e.lda + column], e.b ? e.b[row * e.ldb + column] : 0.0f, third);
    float* y = e.y + row * e.ldy + column;
    *y = kAdd ? *y + v : v;
  }
}

template <class Operation, bool kAdd = false>
void run(const Elements& e, cudaStream_t stream) {
  WARP_LAUNCH((element_kernel<Operation, kAdd>), row_grid_of<kThreads>(e.rows, e.size), kThreads, 0, stream, e);
}

Elements elements(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, float constant, Matrix y) {
  return {rows, size, a.data, b.data, a.ld, b.ld, nullptr, constant, y.data, y.ld};
}

template <template <Activation> class Operation>
void by_activation(Activation act, const Elements& e, cudaStream_t stream) {
  switch (act) {
    case Activation::kGelu: return run<Operation<Activation::kGelu>>(e, stream);
    case Activation::kGeluTanh: return run<Operation<Activation::kGeluTanh>>(e, stream);
    case Activation::kRelu: return run<Operation<Activation::kRelu>>(e, stream);
    case Activation::kTanh: return run<Operation<Activation::kTanh>>(e, stream);
    case Activation::kSilu: return run<Operation<Activation::kSilu>>(e, stream);
    default: return run<Operation<Activation::kNone>>(e, stream);
  }
}

}  // namespace

void activate(size_t rows, size_t size, const float* bias, Activation act, float* y, size_t ldy, cudaStream_t stream) {
  if (act == Activation::kNone && !bias) return;
  Elements e = elements(rows, size, {y, ldy}, {nullptr, 0}, 0, {y, ldy});
  e.by_column = bias;
  by_activation<Activate>(act, e, stream);
}

void activate(Activation act, size_t rows, size_t size, ConstMatrix x, Matrix y, cudaStream_t stream) {
  by_activation<Activate>(act, elements(rows, size, x, {nullptr, 0}, 0, y), stream);
}

void activate_slope(Activation act, size_t rows, size_t size, ConstMatrix x, ConstMatrix dx, Matrix dy,
                    cudaStream_t stream) {
  by_activation<Slope>(act, elements(rows, size, x, dx, 0, dy), stream);
}

void multiply(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y, cudaStream_t stream) {
  run<Multiply>(elements(rows, size, a, b, 0, y), stream);
}

void multiply_add(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y, cudaStream_t stream) {
  run<Multiply, true>(elements(rows, size, a, b, 0, y), stream);
}

void softcap(size_t rows, size_t size, float cap, ConstMatrix x, Matrix y, cudaStream_t stream) {
  run<Softcap>(elements(rows, size, x, {nullptr, 0}, cap, y), stream);
}

void softcap_slope(size_t rows, size_t size, float cap, ConstMatrix y, ConstMatrix dx, Matrix dy, cudaStream_t stream) {
  run<SoftcapSlope>(elements(rows, size, y, dx, cap, dy), stream);
}

void scale(size_t rows, size_t size, float factor, Matrix x, cudaStream_t stream) {
  run<Scale>(elements(rows, size, x, {nullptr, 0}, factor, x), stream);
}

void subtract(size_t count, const float* x, float* y, cudaStream_t stream) {
  run<Subtract>(elements(1, count, {y, 0}, {x, 0}, 0, {y, 0}), stream);
}

}  // namespace warp::cuda
