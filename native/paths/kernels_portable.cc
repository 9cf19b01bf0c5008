#define WARP_ISA portable
#include "paths/kernels.inc"
