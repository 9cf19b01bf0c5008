#pragma once
// The meaning of every operation of ops.h: naive, double precision, one thread. For tests; no scratch, no packing,
// no leading dimensions other than the row's own length.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/ops.h"

namespace warp::reference {

using Doubles = std::vector<double>;  // row-major

double activate(Activation act, double x);

// rows × outputs; weight: outputs × inputs; bias may be empty
Doubles linear(size_t rows, size_t outputs, size_t inputs, const Doubles& x, const Doubles& weight, const Doubles& bias,
               Activation act);
// r may be empty
Doubles layer_norm(size_t rows, size_t size, const Doubles& x, const Doubles& r, const Doubles& gain,
                   const Doubles& bias, double eps);
Doubles add(const Doubles& x, const Doubles& y);
// queries empty: a row per token; else a row per text
Doubles attention(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                  const std::vector<uint32_t>& queries, const Doubles& q, const Doubles& k, const Doubles& v);
// row i is row index[i] of x
Doubles gather(size_t size, const Doubles& x, const std::vector<uint32_t>& index);
Doubles embed(size_t size, const std::vector<Doubles>& tables, const std::vector<std::vector<uint32_t>>& index);

// The call of that attention.
AttentionCall plain_attention(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                              const std::vector<uint32_t>& queries);

// Below, a call's arrays of numbers are not looked at: they come as Doubles, without gaps, tangents empty where they
// are zero. Sizes, offsets, queries, positions and dropout are the call's.
Doubles norm(const NormCall& call, const Doubles& x, const Doubles& gain, const Doubles& bias);
Doubles norm_tangent(const NormCall& call, const Doubles& x, const Doubles& gain, const Doubles& dx,
                     const Doubles& dgain, const Doubles& dbias);
// cos, sin: positions × rotary / 2
Doubles rope(const RopeCall& call, const Doubles& cos, const Doubles& sin, const Doubles& x);
Doubles attention(const AttentionCall& call, const Doubles& q, const Doubles& k, const Doubles& v);
// keys, values: by row, its text's tokens without gaps
Doubles attention_step(const StepCall& call, const Doubles& q, const std::vector<Doubles>& keys,
                       const std::vector<Doubles>& values);
Doubles attention_tangent(const AttentionCall& call, const Doubles& q, const Doubles& k, const Doubles& v,
                          const Doubles& dq, const Doubles& dk, const Doubles& dv);

Doubles activate(Activation act, const Doubles& x);
Doubles activate_slope(Activation act, const Doubles& x, const Doubles& dx);
Doubles multiply(const Doubles& a, const Doubles& b);
Doubles multiply_add(const Doubles& a, const Doubles& b, const Doubles& y);
Doubles softcap(double cap, const Doubles& x);
Doubles softcap_slope(double cap, const Doubles& y, const Doubles& dx);
Doubles scale(double factor, const Doubles& x);
Doubles scatter_add(size_t size, const Doubles& x, const std::vector<uint32_t>& index, const Doubles& y);

struct CrossEntropy {
  Doubles loss, e;
};
CrossEntropy cross_entropy(size_t size, const Doubles& logits, const std::vector<uint32_t>& target, double weight);
Doubles row_dots(size_t rows, size_t size, const Doubles& a, const Doubles& b);

}  // namespace warp::reference
