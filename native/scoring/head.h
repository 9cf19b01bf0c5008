#pragma once
// The classification head at every point of a path, from the head inputs: losses, residuals, Mimic scores.
// Closed forms only (WARP, section 3.2 with scope = head; the gradient of the dense layer before the classifier is one
// more product).
#include "core/context.h"
#include "core/threads.h"
#include "graph/weights.h"
#include "paths/path.h"
#include "scoring/pass.h"

namespace warp {

enum class Scope {
  kHead,  // the last linear layer: weight and bias
  kTop,   // and the dense layer with an activation before it (BERT's pooler)
};

// θ_k of the head, for multiplying and for looking at.
struct HeadPoint {
  Buffer<float> weight, bias;                // labels × hidden; labels (zeros where the model has none)
  Buffer<float> dense, dense_bias;         // hidden × hidden; empty without one
  Buffer<float> dense_packed;
};

// Some probes at one point. Rows are probes.
struct HeadRows {
  Buffer<float> h;        // rows × hidden: the classifier's input
  Buffer<float> e;        // rows × labels: softmax(logits) − onehot(label)
  Buffer<float> a;        // rows × hidden: gradient before the dense layer's activation, (Wᵀe) ⊙ act'; empty without
  std::vector<double> loss;
  Buffer<float> logits;   // rows × labels
};

class Head {
 public:
  Head(const Program& program, const Path& path, const Ops& ops);
  bool has_dense() const { return plan_.has_dense(); }
  HeadPoint point(int k) const;
  // x: rows × hidden (head inputs); label: rows.
  HeadRows evaluate(const HeadPoint& point, size_t rows, const float* x, const int32_t* label, bool gradients) const;
  // s_i = ⟨−∇ℓ_i(θ_k), v⟩ / ‖v‖ with v = reference − point, both restricted to the scope. ‖v‖ = 0 is an error that
  // names λ.
  std::vector<double> alignment(const HeadPoint& point, const HeadPoint& reference, const HeadRows& rows,
                                const float* x, Scope scope, double lambda) const;
  // v of the scope, flattened: for each label [weight row, bias], then for each dense row [weight row, bias].
  std::vector<double> direction(const HeadPoint& from, const HeadPoint& to, Scope scope) const;

  const Program& program() const { return program_; }
  const Ops& ops() const { return ops_; }

 private:
  const Program& program_;
  const Ops& ops_;
  const HeadPlan& plan_;
  PathTensor weight_, bias_, dense_, dense_bias_;
};

struct HeadScores {
  std::vector<double> loss;       // texts × (points + 2): θ₀, path, θ*
  std::vector<double> alignment;  // texts × points
  std::vector<float> logits;      // texts × (points + 2) × labels
};

// features: of every point, (points + 2) × texts × features, the first `passes` of which are looked at. Without `align`
// no alignment. Parallel over points.
HeadScores score_head(const Head& head, const Path& path, const Buffer<float>& features, int passes,
                      const std::vector<int32_t>& label, Scope scope, bool align, Threads& threads, Context& context);

}  // namespace warp
