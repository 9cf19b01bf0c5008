#pragma once
// Gradients of documents in factored form, at points of a path: the head's is e ⊗ [h; 1], that of the dense layer
// before it a ⊗ [x; 1] (WARP, section 3.2). Nothing of the size of a weight is held for a document.
#include "scoring/classify.h"

namespace warp {

struct FeatureJob {
  Program program;
  std::shared_ptr<Path> path;
  PackedTexts texts;
  std::vector<int32_t> label;  // by text; −1: the one that the reference gives it
  Scope scope = Scope::kHead;
  bool at_base = false;  // θ₀ is a point too, before the path's
  int threads = 1;
  uint64_t memory = 0;

  size_t points() const { return size_t(path->points()) + (at_base ? 1 : 0); }
};

// Where the parts of a gradient u ⊗ [w; 1] lie in a document's row.
struct Factors {
  uint32_t u, u_size, w, w_size;
};
// By point: the head's piece, in scope `top` then the dense layer's.
std::vector<Factors> feature_pieces(const Program& program, Scope scope, size_t points);

struct Features {
  std::vector<float> rows;         // texts × width
  std::vector<double> along;       // texts × points: ⟨−g, v⟩ / ‖v‖, v = θ* − θ_k
  std::vector<double> norm2;       // texts × points: ‖g‖²
  std::vector<int32_t> label;      // as given, or by the reference
  std::vector<float> probability;  // texts × labels: the reference's
  std::vector<double> loss;        // texts × 2: at θ₀ and θ*
};

// Throws MEMORY_BUDGET, DIRECTION_ZERO, LOSS_NOT_FINITE. The same bits for any number of threads and any budget.
Features make_features(const FeatureJob& job, Context& context);

}  // namespace warp
