#pragma once
// Small dense linear algebra in double: square matrices of n × n, row after row.
#include <cstddef>
#include <vector>

namespace warp {

// The lower triangle L of a = L Lᵀ, in place; entries above the diagonal become 0. a must be positive definite: a
// diagonal that is not, by rounding, counts as `least`.
void cholesky(std::vector<double>& a, size_t n, double least);

// x = L⁻¹ b, then with `back` x = L⁻ᵀ x, so that L Lᵀ x = b; b and x are n × columns, in place.
void triangular_solve(const std::vector<double>& l, size_t n, std::vector<double>& b, size_t columns, bool back);

}  // namespace warp
