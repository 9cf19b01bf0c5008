#define WARP_ISA avx2
#include "paths/kernels.inc"
