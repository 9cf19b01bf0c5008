#pragma once
// The loops over two stored tensors and over thin float32 matrices, compiled once per instruction set.
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace warp::diff {

// Sums over elements b of the base and r of the reference, δ = r − b. A power is 2^e, e the exponent of the larger of
// |b| and |r|: times 2^-23, 2^-10 or 2^-7 it is the spacing of F32, F16 or BF16 there.
struct Sums {
  double base2 = 0, cross = 0, delta2 = 0;  // Σ b², Σ bδ, Σ δ²
  double power2 = 0;                        // Σ 4^e
  double max_delta = 0, max_ratio = 0;      // largest |δ|, largest |δ| / max(2^e, 2^-14)
  uint64_t changed = 0, moved = 0;          // b ≠ r; |δ| / 2^e > `ratio`
  uint32_t base_bits = 0, reference_bits = 0;  // all float32 bits that occur
};

struct Kernels {
  const char* name;
  // Adds to `sums`. Stored values of any alignment, F64 not among them. `smallest` is the least e.
  void (*compare)(Dtype base_dtype, const void* base, Dtype reference_dtype, const void* reference, size_t count,
                  float ratio, int smallest, Sums& sums);
  // δ, and 4^e + 2 · 4^(exponent of δ) added to `columns`; gives the sum of the latter.
  double (*subtract)(Dtype base_dtype, const void* base, Dtype reference_dtype, const void* reference, size_t count,
                     int smallest, float* delta, float* columns);
  double (*dot)(const float* a, const float* b, size_t count);
  void (*add_scaled)(float factor, const float* from, size_t count, float* to);  // to += factor · from
  // gram (size × size, the upper triangle) += yᵀy, y rows × size, size a multiple of 16; scratch: rows · size doubles.
  void (*gram)(size_t rows, size_t size, const float* y, double* scratch, double* gram);
};

// Those of cpu_isa().
const Kernels& kernels();

extern const Kernels portable_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

}  // namespace warp::diff
