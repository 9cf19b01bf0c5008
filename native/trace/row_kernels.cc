// Picks the loop of this processor.
#include "trace/row_kernels.h"

#include <cstring>

#include "paths/kernels.h"

namespace warp {

const RowKernels& row_kernels() {
#if defined(__x86_64__)
  const char* const name = paths::kernels().name;  // one choice for all loops, WARP_ISA and its error included
  if (std::strcmp(name, row_kernels_avx512.name) == 0) return row_kernels_avx512;
  if (std::strcmp(name, row_kernels_avx2.name) == 0) return row_kernels_avx2;
#endif
  return row_kernels_portable;
}

}  // namespace warp
