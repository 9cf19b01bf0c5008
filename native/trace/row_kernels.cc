// Picks the loop of this processor.
#include "trace/row_kernels.h"

#include "ops/ops.h"

namespace warp {

const RowKernels& row_kernels() {
#if defined(__x86_64__)
  const std::string isa = cpu_isa();
  if (isa == "avx512") return row_kernels_avx512;
  if (isa == "avx2") return row_kernels_avx2;
#endif
  return row_kernels_portable;
}

}  // namespace warp
