#pragma once
// The meaning of every operation of ops/backward.h, as reference.h is that of ops.h.
#include "ops/dropout.h"
#include "ops/reference/reference.h"

namespace warp::reference {

double slope(Activation act, double x);  // act'(x)

// outputs × inputs: dyᵀ x
Doubles outer(size_t rows, size_t outputs, size_t inputs, const Doubles& dy, const Doubles& x);

struct NormGradients {
  Doubles x, gain, bias;
};
NormGradients norm_backward(const NormCall& call, const Doubles& x, const Doubles& gain, const Doubles& dy);
NormGradients layer_norm_backward(size_t rows, size_t size, const Doubles& x, const Doubles& gain, double eps,
                                  const Doubles& dy);

// 0 or 65536 / (65536 − threshold) for `size` elements of one row
Doubles mask(const Dropout& dropout, uint32_t text, uint32_t position, size_t size);

struct AttentionGradients {
  Doubles out, q, k, v;
};
// out: the output
AttentionGradients attention_backward(const AttentionCall& call, const Doubles& q, const Doubles& k, const Doubles& v,
                                      const Doubles& dout);
// Texts count from first_text as in ops/backward.h.
AttentionGradients attention_backward(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                                      const std::vector<uint32_t>& queries, const Doubles& q, const Doubles& k,
                                      const Doubles& v, const Dropout& dropout, uint32_t first_text,
                                      const Doubles& dout);

}  // namespace warp::reference
