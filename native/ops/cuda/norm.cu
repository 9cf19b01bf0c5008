// norm: one warp per row and group, y = (x + r − mean) / √(var + eps) · (offset + gain) + bias, or without the mean;
// two passes, float64 sums. A group of up to 1024 aligned floats stays in registers, 16 bytes a load; others go through
// y.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kRowsPerBlock = kThreads / 32;

__device__ __forceinline__ float4 operator+(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }
__device__ __forceinline__ double sum4(float4 a) { return (double(a.x) + a.y) + (double(a.z) + a.w); }
__device__ __forceinline__ double squares4(float4 a, double mean) {
  const double x = a.x - mean, y = a.y - mean, z = a.z - mean, w = a.w - mean;
  return (x * x + y * y) + (z * z + w * w);
}

struct NormArguments {
  size_t items, groups, size, ldx, ldr, ldy;  // items: rows · groups
  const float *x, *r, *gain, *bias;
  float eps, offset;
  bool center;
  float* y;
};

// Of the item's row and group, in a matrix whose rows are ld apart.
__device__ __forceinline__ size_t place_of(size_t item, size_t groups, size_t size, size_t ld) {
  return item / groups * ld + item % groups * size;
}

template <int kVectors>
__global__ void norm_registers(NormArguments a) {
  const size_t item = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (item >= a.items) return;  // a whole warp
  const int lane = threadIdx.x % 32, vectors = int(a.size / 4);
  const float4* x = reinterpret_cast<const float4*>(a.x + place_of(item, a.groups, a.size, a.ldx));
  const float4* r = a.r ? reinterpret_cast<const float4*>(a.r + place_of(item, a.groups, a.size, a.ldr)) : nullptr;
  const float4 zero{0, 0, 0, 0};
  float4 v[kVectors];
  double total = 0;
#pragma unroll
  for (int i = 0; i < kVectors; i++) {
    const int at = lane + 32 * i;
    v[i] = at >= vectors ? zero : r ? x[at] + r[at] : x[at];
    total += sum4(v[i]);
  }
  const double mean = a.center ? warp_sum(total) / double(a.size) : 0.0;
  total = 0;
#pragma unroll
  for (int i = 0; i < kVectors; i++)
    if (lane + 32 * i < vectors) total += squares4(v[i], mean);
  const float center = float(mean), scale = float(1 / sqrt(warp_sum(total) / double(a.size) + double(a.eps)));
  float4* y = reinterpret_cast<float4*>(a.y + place_of(item, a.groups, a.size, a.ldy));
#pragma unroll
  for (int i = 0; i < kVectors; i++) {
    const int at = lane + 32 * i;
    if (at >= vectors) continue;
    const float4 g = reinterpret_cast<const float4*>(a.gain)[at];
    const float4 b = a.bias ? reinterpret_cast<const float4*>(a.bias)[at] : zero;
    y[at] = {(v[i].x - center) * scale * (a.offset + g.x) + b.x, (v[i].y - center) * scale * (a.offset + g.y) + b.y,
             (v[i].z - center) * scale * (a.offset + g.z) + b.z, (v[i].w - center) * scale * (a.offset + g.w) + b.w};
  }
}

__global__ void norm_any(NormArguments a) {
  const size_t item = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (item >= a.items) return;  // a whole warp
  const float* x = a.x + place_of(item, a.groups, a.size, a.ldx);
  const float* r = a.r ? a.r + place_of(item, a.groups, a.size, a.ldr) : nullptr;
  float* y = a.y + place_of(item, a.groups, a.size, a.ldy);
  double total = 0;
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) {  // a lane reads back only what it wrote itself
    const float v = r ? x[j] + r[j] : x[j];
    y[j] = v;
    total += v;
  }
  const double mean = a.center ? warp_sum(total) / double(a.size) : 0.0;
  total = 0;
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) total += (y[j] - mean) * (y[j] - mean);
  const float center = float(mean), scale = float(1 / sqrt(warp_sum(total) / double(a.size) + double(a.eps)));
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32)
    y[j] = (y[j] - center) * scale * (a.offset + a.gain[j]) + (a.bias ? a.bias[j] : 0.0f);
}

struct TangentArguments {
  size_t items, groups, size, ldx, lddx, lddy;
  const float *x, *dx, *gain, *dgain, *dbias;
  float eps, offset;
  bool center;
  float* dy;
};

// dy = (dx − mean(dx) − x̂ mean(dx ⊙ x̂)) / √(…) ⊙ (offset + gain) + x̂ ⊙ dgain + dbias
__global__ void tangent_kernel(TangentArguments a) {
  const size_t item = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (item >= a.items) return;  // a whole warp
  const float* x = a.x + place_of(item, a.groups, a.size, a.ldx);
  const float* dx = a.dx ? a.dx + place_of(item, a.groups, a.size, a.lddx) : nullptr;
  float* dy = a.dy + place_of(item, a.groups, a.size, a.lddy);
  const double count = double(a.size);
  double total = 0, squares = 0, plain = 0, mixed = 0;
  if (a.center)
    for (size_t j = threadIdx.x % 32; j < a.size; j += 32) total += x[j];
  const double mean = a.center ? warp_sum(total) / count : 0.0;
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) {
    const double d = x[j] - mean, t = dx ? double(dx[j]) : 0.0;
    squares += d * d;
    plain += t;
    mixed += t * d;
  }
  const double scale = 1 / sqrt(warp_sum(squares) / count + double(a.eps));
  const float center = float(mean), factor = float(scale);
  const float shift = a.center ? float(warp_sum(plain) / count) : 0.0f, slope = float(warp_sum(mixed) * scale / count);
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) {
    const float hat = (x[j] - center) * factor;
    float d = a.dbias ? a.dbias[j] : 0.0f;
    if (a.dgain) d += hat * a.dgain[j];
    if (dx) d += (dx[j] - shift - hat * slope) * factor * (a.offset + a.gain[j]);
    dy[j] = d;
  }
}

template <int kVectors>
void run_registers(const NormArguments& a, cudaStream_t stream) {
  WARP_LAUNCH(norm_registers<kVectors>, blocks_of(a.items, kRowsPerBlock), kThreads, 0, stream, a);
}

}  // namespace

void norm(const NormCall& c, ConstMatrix x, ConstMatrix r, Matrix y, cudaStream_t stream) {
  const NormArguments a{c.rows * c.groups, c.groups, c.size,   x.ld,  r.ld, y.ld, x.data, r.data, c.gain, c.bias,
                        c.epsilon,         c.offset, c.center, y.data};
  const bool aligned = aligned16(x.data) && aligned16(y.data) && aligned16(c.gain) && aligned16(c.bias) &&
                       aligned16(r.data) && c.size % 4 == 0 && x.ld % 4 == 0 && y.ld % 4 == 0 && r.ld % 4 == 0;
  const size_t vectors = (c.size + 127) / 128;  // per lane
  if (!aligned || vectors > 8) {
    WARP_LAUNCH(norm_any, blocks_of(a.items, kRowsPerBlock), kThreads, 0, stream, a);
  } else if (vectors <= 2) {
    run_registers<2>(a, stream);
  } else if (vectors <= 4) {
    run_registers<4>(a, stream);
  } else if (vectors <= 6) {
    run_registers<6>(a, stream);
  } else {
    run_registers<8>(a, stream);
  }
}

void norm_tangent(const NormCall& c, const NormTangent& t, Matrix dy, cudaStream_t stream) {
  const TangentArguments a{
      c.rows * c.groups, c.groups, c.size,   t.ldx,  t.lddx, dy.ld, t.x, t.dx, c.gain, t.gain, t.bias,
      c.epsilon,         c.offset, c.center, dy.data};
  WARP_LAUNCH(tangent_kernel, blocks_of(a.items, kRowsPerBlock), kThreads, 0, stream, a);
}

void layer_norm(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr, const float* gain,
                const float* bias, float eps, float* y, size_t ldy, cudaStream_t stream) {
  norm({rows, size, 1, true, eps, 0, gain, bias}, {x, ldx}, {r, ldr}, {y, ldy}, stream);
}

}  // namespace warp::cuda
