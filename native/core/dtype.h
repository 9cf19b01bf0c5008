#pragma once
// Element types of stored tensors, and their exact conversion to and from float32.
#include <cstddef>
#include <cstdint>
#include <string>

namespace warp {

enum class Dtype : uint8_t { kF64, kF32, kF16, kBF16 };

size_t dtype_size(Dtype dtype);
const char* dtype_name(Dtype dtype);
Dtype parse_dtype(const std::string& name);  // "F64" "F32" "F16" "BF16"; anything else is an internal error

// Eight-bit floats exist in files only: both kinds are exact as halves, and are read as such.
enum class Eight : uint8_t { kNone, kE4M3, kE5M2 };
// `count` bytes at `from` as halves at `to`; `from` may be the second half of where they go.
void eight_to_half(Eight kind, const uint8_t* from, size_t count, uint16_t* to);

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);      // round to nearest even; overflow gives infinity
float bfloat_to_float(uint16_t bits);
uint16_t float_to_bfloat(float value);    // round to nearest even; NaN stays NaN

// count elements, any alignment of `from`; F64 is rounded to float32
void to_float(Dtype dtype, const void* from, size_t count, float* to);
// count elements, any alignment of `to`
void from_float(Dtype dtype, const float* from, size_t count, void* to);

}  // namespace warp
