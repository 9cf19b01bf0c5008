#include "core/dtype.h"

#include <array>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace warp {

size_t dtype_size(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64: return 8;
    case Dtype::kF32: return 4;
    default: return 2;
  }
}

const char* dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64: return "F64";
    case Dtype::kF32: return "F32";
    case Dtype::kF16: return "F16";
    default: return "BF16";
  }
}

Dtype parse_dtype(const std::string& name) {
  for (Dtype dtype : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16})
    if (name == dtype_name(dtype)) return dtype;
  throw internal_error("unsupported dtype " + name);
}

namespace {

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Half to float without branches, so that the loop vectorises: the exponent is rebased by a multiplication,
// which also normalises denormals; infinities and NaNs get the float's all-ones exponent.
inline float half_bits_to_float(uint32_t half) {
  const uint32_t magnitude = (half & 0x7fffu) << 13;
  const float rebased = float_of(magnitude) * float_of(0x77800000u);  // times 2^112
  const uint32_t special = (half & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  return float_of(bits_of(rebased) | special | ((half & 0x8000u) << 16));
}

}  // namespace

float half_to_float(uint16_t bits) { return half_bits_to_float(bits); }

uint16_t float_to_half(float value) {
  const uint32_t bits = bits_of(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u);   // NaN
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);  // 65520 and more round to infinity
  if (magnitude < 0x38800000u) {  // below 2^-14: the sum's last bit is the half's unit
    const float shifted = float_of(magnitude) + 0.5f;
    return uint16_t(sign | (bits_of(shifted) - 0x3f000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return uint16_t(sign | ((magnitude + 0xc8000fffu + odd) >> 13));
}

float bfloat_to_float(uint16_t bits) { return float_of(uint32_t(bits) << 16); }

uint16_t float_to_bfloat(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t((bits >> 16) | 0x40u);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

namespace {

// E4M3: four bits of exponent (bias 7), three of fraction; no infinities, and all ones is NaN. E5M2: a half's upper
// byte.
uint16_t half_of(Eight kind, unsigned code) {
  if (kind == Eight::kE5M2) return uint16_t(code << 8);
  const unsigned exponent = (code >> 3) & 15u, fraction = code & 7u;
  const uint16_t sign = uint16_t((code & 0x80u) << 8);
  if ((code & 0x7fu) == 0x7fu) return uint16_t(sign | 0x7e00u);
  const float magnitude =
      exponent == 0 ? std::ldexp(float(fraction), -9) : std::ldexp(float(8 + fraction), int(exponent) - 10);
  return uint16_t(sign | float_to_half(magnitude));
}

std::array<uint16_t, 256> halves_of(Eight kind) {
  std::array<uint16_t, 256> halves{};
  for (unsigned code = 0; code < 256; code++) halves[code] = half_of(kind, code);
  return halves;
}

}  // namespace

void eight_to_half(Eight kind, const uint8_t* from, size_t count, uint16_t* to) {
  static const std::array<uint16_t, 256> e4m3 = halves_of(Eight::kE4M3), e5m2 = halves_of(Eight::kE5M2);
  const std::array<uint16_t, 256>& halves = kind == Eight::kE4M3 ? e4m3 : e5m2;
  char* out = reinterpret_cast<char*>(to);
  for (size_t i = 0; i < count; i++) {
    const uint16_t half = halves[from[i]];
    std::memcpy(out + i * sizeof(half), &half, sizeof(half));
  }
}

namespace {

template <class Stored, class Convert>
void map_to_float(const void* from, size_t count, float* to, Convert convert) {
  const char* bytes = static_cast<const char*>(from);
  for (size_t i = 0; i < count; i++) {
    Stored stored;
    std::memcpy(&stored, bytes + i * sizeof(Stored), sizeof(Stored));
    to[i] = convert(stored);
  }
}

template <class Stored, class Convert>
void map_from_float(const float* from, size_t count, void* to, Convert convert) {
  char* bytes = static_cast<char*>(to);
  for (size_t i = 0; i < count; i++) {
    const Stored stored = convert(from[i]);
    std::memcpy(bytes + i * sizeof(Stored), &stored, sizeof(Stored));
  }
}

// memcpy is not defined for null, of no bytes either
void copy_bytes(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace

void to_float(Dtype dtype, const void* from, size_t count, float* to) {
  switch (dtype) {
    case Dtype::kF64: return map_to_float<double>(from, count, to, [](double x) { return float(x); });
    case Dtype::kF32: copy_bytes(to, from, count * 4); return;
    case Dtype::kF16: return map_to_float<uint16_t>(from, count, to, [](uint16_t x) { return half_bits_to_float(x); });
    case Dtype::kBF16: return map_to_float<uint16_t>(from, count, to, [](uint16_t x) { return bfloat_to_float(x); });
  }
}

void from_float(Dtype dtype, const float* from, size_t count, void* to) {
  switch (dtype) {
    case Dtype::kF64: return map_from_float<double>(from, count, to, [](float x) { return double(x); });
    case Dtype::kF32: copy_bytes(to, from, count * 4); return;
    case Dtype::kF16: return map_from_float<uint16_t>(from, count, to, float_to_half);
    case Dtype::kBF16: return map_from_float<uint16_t>(from, count, to, float_to_bfloat);
  }
}

}  // namespace warp
