#pragma once
// What Adam makes of gradients, kept in factors: each is divided by the q-th power of a second moment of rank one,
// E[(u_r w_c)²] ≈ E[u_r²] E[w_c²] (that of Adafactor, arXiv 1804.04235), over the documents that may be chosen. So
// u ⊗ [w; 1] becomes u′ ⊗ [w′; 1], u′ = u / rms(u)^q and w′ = w / rms(w)^q: the root mean square of 1 is 1.
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "select/candidates.h"

namespace warp {

// By number of a row: rms^−q over the allowed documents, 0 where all of them have 0 there. Sums in double precision, in
// the order of the documents. Reads all rows once.
std::vector<double> precondition_factors(RowStore& rows, double q, const std::vector<uint8_t>& allowed,
                                         Threads& threads, Context& context);

// v = θ* − θ_k at every point, of length 1 / √points each: laid out as a sum of gradients is. Throws DIRECTION_ZERO.
struct Directions {
  Program program;
  std::shared_ptr<Path> path;
  Scope scope = Scope::kHead;
  bool at_base = false;  // θ₀ is a point too, before the path's
};
std::vector<double> directions(const Directions& of, Context& context);

struct DocumentNumbers {
  std::vector<double> along, norm2;  // ⟨−g, v⟩ and ‖g‖² over all points; 0 of documents that are not allowed
};
// Reads all rows once. The same bits for any number of threads, in memory and from files.
DocumentNumbers numbers_of(Candidates& candidates, const std::vector<double>& direction,
                           const std::vector<uint8_t>& allowed, Threads& threads, Context& context);

// Divides the gradients for good; q > 0. Progress counts documents, each of them twice.
DocumentNumbers precondition(FactoredCandidates& candidates, const Directions& of, double q,
                             const std::vector<uint8_t>& allowed, Threads& threads, Context& context);

}  // namespace warp
