#pragma once
// The loop over one row of two embedding tables, compiled once per instruction set.
#include <cstddef>

#include "core/dtype.h"
#include "trace/rows.h"

namespace warp {

struct RowKernels {
  const char* name;
  // Sums over `count` columns, stored values of any alignment, F64 not among them; `non_finite` is left alone. The same
  // bits for every instruction set.
  RowSums (*sums)(Dtype base_dtype, const void* base, Dtype reference_dtype, const void* reference, size_t count,
                  float alpha);
};

// Those of cpu_isa().
const RowKernels& row_kernels();

extern const RowKernels row_kernels_portable;
#if defined(__x86_64__)
extern const RowKernels row_kernels_avx2, row_kernels_avx512;
#endif

}  // namespace warp
