#define WARP_ISA portable
#include "diff/kernels.inc"
