#pragma once
// The meaning of every operation of ops.h: naive, double precision, one thread. For tests; no scratch, no packing,
// no leading dimensions other than the row's own length.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/ops.h"

namespace warp::reference {

using Matrix = std::vector<double>;  // row-major

double activate(Activation act, double x);

// rows × outputs; weight: outputs × inputs; bias may be empty
Matrix linear(size_t rows, size_t outputs, size_t inputs, const Matrix& x, const Matrix& weight, const Matrix& bias,
              Activation act);
// r may be empty
Matrix layer_norm(size_t rows, size_t size, const Matrix& x, const Matrix& r, const Matrix& gain, const Matrix& bias,
                  double eps);
Matrix add(const Matrix& x, const Matrix& y);
// queries empty: a row per token; else a row per text
Matrix attention(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                 const std::vector<uint32_t>& queries, const Matrix& q, const Matrix& k, const Matrix& v);
// row i is row index[i] of x
Matrix gather(size_t size, const Matrix& x, const std::vector<uint32_t>& index);
Matrix embed(size_t size, const std::vector<Matrix>& tables, const std::vector<std::vector<uint32_t>>& index);

}  // namespace warp::reference
