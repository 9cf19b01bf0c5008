#pragma once
// Gradients of documents in a random projection of a few thousand numbers, by reverse mode: of every linear layer of a
// network, or of a language model's output layer alone, which needs no pass back.
#include "scoring/pass.h"

namespace warp {

struct SketchJob {
  Program program;
  std::shared_ptr<Path> path;
  PackedTexts texts;
  std::vector<int32_t> label;  // classifiers
  bool outputs = false;        // the output layer of a language model, else all linear layers but that one
  bool at_base = false;        // θ₀ is a point too, before the path's
  size_t size = 4096;          // numbers of a sketch: a power of two
  uint64_t seed = 0;
  size_t exact = 0;  // of so many texts, the first ones, products are computed exactly too
  int threads = 1;
  uint64_t memory = 0;

  size_t points() const { return size_t(path->points()) + (at_base ? 1 : 0); }
};

struct Sketches {
  std::vector<float> rows;    // texts × points × size
  std::vector<double> norm2;  // texts × points: of the sketch
  std::vector<double> along;  // outputs: texts × points, ⟨−g, v⟩ / ‖v‖, v = θ* − θ_k of the output layer
  std::vector<double> loss;   // outputs: texts × 2, at θ₀ and θ*
  std::vector<double> exact;  // points × exact × exact: ⟨g_i, g_j⟩
};

// The same bits for any threads, any order of the texts and any texts beside them. Throws MEMORY_BUDGET,
// LOSS_NOT_FINITE, DIRECTION_ZERO. Progress: texts · passes.
Sketches sketch_gradients(const SketchJob& job, Context& context);

}  // namespace warp
