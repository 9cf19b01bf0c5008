#define WARP_ISA portable
#define WARP_LANES 4
#define WARP_ROWS 6
#include "ops/cpu/isa.inc"
