#pragma once
// Attention of one token a text without keys and values: with k_j = W_k x_j + b_k and v_j = W_v x_j + b_v,
//   qᵀ k_j = (W_kᵀ q)ᵀ x_j + qᵀ b_k,  Σ_j p_j v_j = W_v (Σ_j p_j x_j) + b_v,
// and what all scores of a query have in common changes no probability. Two products of every token's row become two
// of the selected row's, by head.
#include "graph/program.h"

namespace warp {

// The block so that its attention reads what its keys and values were made of; for flows whose output is wanted for the
// selected rows only. As it is where that cannot be: keys and values that are not one linear layer's, of weights stored
// outputs × inputs, or that others read; grouped heads; a cap, which the common part of the scores would change.
Block absorb_keys(const Block& block);

}  // namespace warp
