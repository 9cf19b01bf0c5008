#define WARP_ISA avx512
#include "paths/kernels.inc"
