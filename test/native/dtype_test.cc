#include <cstring>

#include "check.h"
#include "core/dtype.h"

using namespace warp;

// The value of a 16-bit float by its definition: sign, exponent, fraction.
static double value_of(uint16_t bits, int exponent_bits, int fraction_bits) {
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1), bias = (1 << (exponent_bits - 1)) - 1;
  const double fraction = double(bits & ((1 << fraction_bits) - 1)) / (1 << fraction_bits);
  const double size = exponent ? std::ldexp(1 + fraction, exponent - bias) : std::ldexp(fraction, 1 - bias);
  return bits >> 15 ? -size : size;
}

TEST(every_half_and_bfloat_converts_exactly_and_back) {
  for (uint32_t bits = 0; bits < 65536; bits++) {
    const float h = half_to_float(uint16_t(bits)), b = bfloat_to_float(uint16_t(bits));
    if ((bits & 0x7c00) != 0x7c00) {
      CHECK(double(h) == value_of(uint16_t(bits), 5, 10));
      CHECK(float_to_half(h) == bits);
    } else {
      CHECK((bits & 0x3ff) ? std::isnan(h) : std::isinf(h));
    }
    if ((bits & 0x7f80) != 0x7f80) {
      CHECK(double(b) == value_of(uint16_t(bits), 8, 7));
      CHECK(float_to_bfloat(b) == bits);
    } else {
      CHECK((bits & 0x7f) ? std::isnan(b) : std::isinf(b));
    }
  }
}

TEST(rounding_is_to_the_nearest_even) {
  for (uint32_t bits = 0; bits < 0x7bff; bits++) {  // midpoints of neighbouring halves, and a hair to each side
    const float low = half_to_float(uint16_t(bits)), high = half_to_float(uint16_t(bits + 1)),
                middle = (low + high) / 2;
    CHECK(float_to_half(middle) == (bits & 1 ? bits + 1 : bits));
    CHECK(float_to_half(std::nextafterf(middle, 0)) == bits);
    CHECK(float_to_half(std::nextafterf(middle, 1e9f)) == bits + 1);
  }
  CHECK(float_to_half(65519.996f) == 0x7bff && float_to_half(65520) == 0x7c00 && float_to_half(-1e30f) == 0xfc00);
  CHECK(float_to_bfloat(1.00390625f) == 0x3f80 && float_to_bfloat(1.01171875f) == 0x3f82);
}

TEST(bulk_conversion_takes_any_alignment_and_length) {
  for (Dtype dtype : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16})
    for (size_t count : {0, 1, 7, 33}) {
      std::vector<float> in(count), out(count + 2, 99.0f);
      for (size_t i = 0; i < count; i++) in[i] = float(i) - 3;
      std::vector<char> raw(count * 8 + 3, 55);
      from_float(dtype, in.data(), count, raw.data() + 1);
      CHECK(raw[0] == 55 && raw[1 + count * dtype_size(dtype)] == 55);
      to_float(dtype, raw.data() + 1, count, out.data() + 1);
      for (size_t i = 0; i < count; i++) CHECK(out[i + 1] == in[i]);
      CHECK(out[0] == 99 && out[count + 1] == 99);
    }
}

TEST_MAIN
