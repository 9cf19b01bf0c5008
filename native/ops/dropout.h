#pragma once
// Which elements dropout keeps: a pure function of what they are, never of how texts are packed. Plain data; no
// headers of the standard library beyond cstdint (see ops/cpu/kernels.h).
#include <cstdint>

namespace warp {

// Element i of a row: half word i % 8 (least significant first) of Philox4x32-10 at counter {i / 8, the row's
// position, the row's text, step} under `key`; it is dropped when the half word is below `threshold`, else
// multiplied by 65536 / (65536 - threshold).
struct Dropout {
  uint32_t key[2] = {0, 0};
  uint32_t step = 0;
  uint32_t threshold = 0;  // rate · 65536; 0 keeps everything
};

}  // namespace warp
