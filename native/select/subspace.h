#pragma once
// A few directions in which gradients of documents are long: what is left of them is bounded by its length alone.
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "select/candidates.h"
#include "select/dots.h"

namespace warp {

// Orthonormal combinations of some documents, the main axes of their products with each other; at most kScreenRank.
class Subspace {
 public:
  Subspace(const Candidates& candidates, std::vector<uint32_t> documents);
  // ⟨b_k, g_i⟩ for all k < kScreenRank, 0 for those that there are not
  void coordinates(size_t i, double* to) const;

 private:
  const Candidates& candidates_;
  const std::vector<uint32_t> documents_;
  std::vector<double> weights_;  // axes × documents
};

// Eigenvectors of a symmetric matrix (size × size), by rows, with their values, largest first. Jacobi's rotations.
struct Axes {
  std::vector<double> values, vectors;
};
Axes axes_of(std::vector<double> matrix, size_t size);

}  // namespace warp
