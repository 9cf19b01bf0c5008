#pragma once
// Device functions that read and write stored elements (F64, F32, F16, BF16) as float32, with the bits of
// core/dtype.cc. The dtype is looked at while running: all threads agree on it, and memory is what takes the time.
#include "core/dtype.h"
#include "ops/cuda/backend.h"
#include "ops/cuda/runtime.h"

namespace warp::cuda {

__device__ __forceinline__ float from_half(uint32_t half) {
  const float rebased = __uint_as_float((half & 0x7fffu) << 13) * __uint_as_float(0x77800000u);  // times 2^112
  const uint32_t special = (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  return __uint_as_float(__float_as_uint(rebased) | special | ((half & 0x8000u) << 16));
}

__device__ __forceinline__ uint16_t to_half(float value) {
  const uint32_t bits = __float_as_uint(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);
  if (magnitude < 0x38800000u)  // below 2^-14: the sum's last bit is the half's unit
    return uint16_t(sign | (__float_as_uint(__uint_as_float(magnitude) + 0.5f) - 0x3f000000u));
  return uint16_t(sign | ((magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13));
}

__device__ __forceinline__ uint16_t to_bfloat(float value) {
  const uint32_t bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t((bits >> 16) | 0x40u);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

__device__ __forceinline__ float load_one(const void* from, Dtype dtype, size_t i) {
  switch (dtype) {
    case Dtype::kF64: return float(static_cast<const double*>(from)[i]);
    case Dtype::kF32: return static_cast<const float*>(from)[i];
    case Dtype::kF16: return from_half(static_cast<const uint16_t*>(from)[i]);
    default: return __uint_as_float(uint32_t(static_cast<const uint16_t*>(from)[i]) << 16);
  }
}

__device__ __forceinline__ void store_one(void* to, Dtype dtype, size_t i, float value) {
  switch (dtype) {
    case Dtype::kF64: static_cast<double*>(to)[i] = value; return;
    case Dtype::kF32: static_cast<float*>(to)[i] = value; return;
    case Dtype::kF16: static_cast<uint16_t*>(to)[i] = to_half(value); return;
    default: static_cast<uint16_t*>(to)[i] = to_bfloat(value); return;
  }
}

// |r − l| rounded to float32, as bits: ordered as the magnitudes are.
__device__ __forceinline__ uint32_t key_of(Stored l, Stored r, size_t i) {
  return __float_as_uint(load_one(r.data, r.dtype, i) - load_one(l.data, l.dtype, i)) & 0x7fffffffu;
}

__device__ __forceinline__ uint64_t element_of(const Place& place, size_t i) {
  return place.rows ? place.rows[i / place.width] * place.width + i % place.width : place.begin + i;
}

constexpr int kLot = 8;  // elements a thread takes at once: 16 bytes of a 16-bit dtype, twice 16 of float32

// Elements [i, i + kLot); `from` on a 16-byte boundary, i a multiple of kLot.
__device__ __forceinline__ void load_lot(const void* from, Dtype dtype, size_t i, float* v) {
  if (dtype == Dtype::kF32) {
    const float4* p = reinterpret_cast<const float4*>(static_cast<const float*>(from) + i);
    const float4 a = p[0], b = p[1];
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
  } else if (dtype == Dtype::kF64) {
#pragma unroll
    for (int j = 0; j < kLot; j++) v[j] = float(static_cast<const double*>(from)[i + j]);
  } else {
    const uint4 p = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(from) + i);
    const uint32_t words[4] = {p.x, p.y, p.z, p.w};
#pragma unroll
    for (int j = 0; j < 4; j++) {
      v[2 * j] = dtype == Dtype::kF16 ? from_half(words[j] & 0xffffu) : __uint_as_float(words[j] << 16);
      v[2 * j + 1] = dtype == Dtype::kF16 ? from_half(words[j] >> 16) : __uint_as_float(words[j] & 0xffff0000u);
    }
  }
}

__device__ __forceinline__ void store_lot(void* to, Dtype dtype, size_t i, const float* v) {
  if (dtype == Dtype::kF32) {
    float4* p = reinterpret_cast<float4*>(static_cast<float*>(to) + i);
    p[0] = {v[0], v[1], v[2], v[3]};
    p[1] = {v[4], v[5], v[6], v[7]};
  } else if (dtype == Dtype::kF64) {
#pragma unroll
    for (int j = 0; j < kLot; j++) static_cast<double*>(to)[i + j] = v[j];
  } else {
    uint32_t words[4];
#pragma unroll
    for (int j = 0; j < 4; j++)
      words[j] = dtype == Dtype::kF16 ? to_half(v[2 * j]) | uint32_t(to_half(v[2 * j + 1])) << 16
                                      : to_bfloat(v[2 * j]) | uint32_t(to_bfloat(v[2 * j + 1])) << 16;
    *reinterpret_cast<uint4*>(static_cast<uint16_t*>(to) + i) = {words[0], words[1], words[2], words[3]};
  }
}

}  // namespace warp::cuda
