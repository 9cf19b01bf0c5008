#define WARP_ISA avx512
#include "diff/kernels.inc"
