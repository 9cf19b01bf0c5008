#define WARP_ISA avx512
#define WARP_LANES 16
#define WARP_ROWS 12
#include "ops/cpu/isa.inc"
