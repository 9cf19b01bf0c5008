#pragma once
// One pass over an embedding table and its fine-tuned copy: what is needed to tell decayed rows from trained ones.
#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"

namespace warp {

// Sums over the H columns of one row, with r = θ* - θ₀ - αθ₀ and u the spacing of the reference's dtype at
// max(|θ*|, 2^-14): e = r/u and t = θ₀/u count in units of the stored rounding.
struct RowSums {
  double residual2 = 0;   // Σ r²
  double product = 0;     // Σ r·θ₀
  double base2 = 0;       // Σ θ₀²
  double error2 = 0;      // Σ e²
  double cross = 0;       // Σ e·t
  double scale2 = 0;      // Σ t²
  double max_error = 0;   // max |e|
  double non_finite = 0;  // 1: the base's row has a NaN or an infinity, 2: the reference's
};

struct RowRequest {
  std::string base, reference;      // names of two tensors [rows, H] of equal H
  std::vector<uint32_t> rows;       // of the reference; empty: all of them
  std::vector<uint32_t> base_rows;  // the base's row for each of these; empty: the same row
  double alpha = 0;
};

// Both tables are read once, in blocks; sums in a fixed order: the same bits for any number of threads and any
// instruction set. Relative errors up to 2^-19 of the sums of absolute values (row_kernels.inc).
// Progress counts rows.
std::vector<RowSums> row_sums(const Weights& base, const Weights& reference, const RowRequest& request,
                              Threads& threads, Context& context);

}  // namespace warp
