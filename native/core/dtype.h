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

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);      // round to nearest even; overflow gives infinity
float bfloat_to_float(uint16_t bits);
uint16_t float_to_bfloat(float value);    // round to nearest even; NaN stays NaN

// count elements, any alignment of `from`; F64 is rounded to float32
void to_float(Dtype dtype, const void* from, size_t count, float* to);
// count elements, any alignment of `to`
void from_float(Dtype dtype, const float* from, size_t count, void* to);

}  // namespace warp
