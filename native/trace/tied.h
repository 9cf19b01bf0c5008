#pragma once
// How far the rows of a table that is also the output layer moved from what untrained rows do there.
#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"

namespace warp {

// With δ = θ* - θ₀, u = δ/‖δ‖ and x = θ₀/‖θ₀‖: u is regressed on [x, 1, log ‖θ₀‖] over rows that were not trained (an
// untrained row follows the sum of p_v(h) h, smooth in its own direction), and a row's score is the logarithm of the
// Mahalanobis norm² of its residual, by the covariance of theirs. Wide tables are first folded to fewer columns, each
// the signed sum of some.
struct TiedRequest {
  std::string base, reference;  // names of two tensors of one shape
  std::vector<uint32_t> fit;    // rows that count as untrained; those that stand out are left out in a second fit
  uint32_t columns = 0;         // most columns of the regression
};

struct TiedScores {
  // by row; NaN where the row did not move or is all zero
  std::vector<double> score;
  std::vector<double> base, moved;  // log ‖θ₀‖, log ‖δ‖
  std::vector<double> along;  // θ₀ · mean of u over the rows of the fit: how probable the token is, by sign and order
  uint32_t columns = 0;  // of the regression
  uint32_t fitted = 0;  // rows of the second fit; none where no row of the fit moved: then nothing has a score
};

// The rows of the fit are read once and kept, folded, in memory; then every row is read once. The same bits for any
// number of threads. Progress counts rows.
TiedScores tied_scores(const Weights& base, const Weights& reference, const TiedRequest& request, Threads& threads,
                       Context& context);

}  // namespace warp
