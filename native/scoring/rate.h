#pragma once
// The machine's own measure: how fast the linear layer runs here and now.
#include "ops/ops.h"

namespace warp {

// Best of `repeats` rounds in which each of `threads` threads computes one product; multiply-adds ×2 per second.
double measure_product_rate(const Ops& ops, size_t rows, size_t outputs, size_t inputs, int repeats, int threads);

}  // namespace warp
