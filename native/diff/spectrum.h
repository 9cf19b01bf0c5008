#pragma once
// The largest singular values of the difference of two tensors, without a decomposition of the whole.
#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"

namespace warp::diff {

struct SpectrumRequest {
  std::string name;     // a tensor of two dimensions in both
  size_t values = 64;
  uint64_t seed = 0;
  uint64_t memory = 0;  // bytes that the difference may take; else it is formed anew in every pass
};

struct Spectrum {
  std::vector<double> values;  // largest first; each a lower bound of the true one
  // The largest singular value that rounding alone can give, per spacing 2^-bits: the square roots of the largest row
  // and column sum of variances, added (Bandeira and van Handel 2016), of one rounding of each stored value of the
  // reference and two of its difference, each half a spacing at most: a quarter of its square.
  double rounding = 0;
  double arithmetic = 0;  // the same for this computation's own float32 products
  double change = 0;  // largest relative change of a value in the last pass
  int passes = 0;
};

// Subspace iteration on 16 vectors more than asked for, from uniform random numbers keyed by (seed, name): Q
// orthonormal, Y = ΔQ, Q = orth(p(ΔᵀΔ) Q), both products in one pass over the rows; p is a power, or a Chebyshev
// polynomial where the values lie close together; singular values from YᵀY in float64. It ends when the values above
// the noise stand still to 1e-5, or after 24 passes. Rows are cut into strips by the shape alone: the same bits for any
// number of threads and any memory.
Spectrum spectrum(const Weights& base, const Weights& reference, const SpectrumRequest& request, Threads& threads,
                  Context& context);

}  // namespace warp::diff
