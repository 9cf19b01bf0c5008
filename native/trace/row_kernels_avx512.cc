#define WARP_ISA avx512
#include "trace/row_kernels.inc"
