#define WARP_ISA avx2
#include "trace/row_kernels.inc"
