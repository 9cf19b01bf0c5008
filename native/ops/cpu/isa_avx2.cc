#define WARP_ISA avx2
#define WARP_LANES 8
#define WARP_ROWS 6
#include "ops/cpu/isa.inc"
