#define WARP_ISA portable
#include "trace/row_kernels.inc"
