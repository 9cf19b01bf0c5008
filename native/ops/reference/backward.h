#pragma once
// The meaning of every operation of ops/backward.h, as reference.h is that of ops.h.
#include "ops/dropout.h"
#include "ops/reference/reference.h"

namespace warp::reference {

double slope(Activation act, double x);  // act'(x)

// outputs × inputs: dyᵀ x
Matrix outer(size_t rows, size_t outputs, size_t inputs, const Matrix& dy, const Matrix& x);

struct NormGradients {
  Matrix x, gain, bias;
};
NormGradients layer_norm_backward(size_t rows, size_t size, const Matrix& x, const Matrix& gain, double eps,
                                  const Matrix& dy);

// 0 or 65536 / (65536 − threshold) for `size` elements of one row
Matrix mask(const Dropout& dropout, uint32_t text, uint32_t position, size_t size);

struct AttentionGradients {
  Matrix out, q, k, v;
};
// The output too; texts count from first_text as in ops/backward.h.
AttentionGradients attention_backward(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                                      const std::vector<uint32_t>& queries, const Matrix& q, const Matrix& k,
                                      const Matrix& v, const Dropout& dropout, uint32_t first_text, const Matrix& dout);

}  // namespace warp::reference
