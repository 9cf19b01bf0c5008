#define WARP_ISA avx2
#include "diff/kernels.inc"
