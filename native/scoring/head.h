#pragma once
// The classification head at every point of a path, from the head inputs: losses, residuals, Mimic scores.
// Closed forms only (WARP, section 3.2 with scope = head; the pooler's gradient is one more product).
#include "core/context.h"
#include "core/threads.h"
#include "models/model.h"
#include "paths/path.h"

namespace warp {

enum class Scope {
  kHead,  // classifier (BERT) or score (GPT-2): weight and bias
  kTop,   // pooler and classifier (BERT)
};

// θ_k of the head, for multiplying and for looking at.
struct HeadPoint {
  Buffer<float> weight, bias;                // labels × hidden; labels (zeros where the model has none)
  Buffer<float> pooler, pooler_bias;         // hidden × hidden; empty without a pooler
  Buffer<float> pooler_packed;
};

// Some probes at one point. Rows are probes.
struct HeadRows {
  Buffer<float> h;        // rows × hidden: the classifier's input
  Buffer<float> e;        // rows × labels: softmax(logits) − onehot(label)
  Buffer<float> a;        // rows × hidden: gradient at the pooler's pre-activation, (Wᵀe) ⊙ (1 − h²); empty without
  std::vector<double> loss;
  Buffer<float> logits;   // rows × labels
};

class Head {
 public:
  Head(const ModelSpec& spec, const Path& path, const Ops& ops);
  bool has_pooler() const { return !plan_.pooler_weight.empty(); }
  HeadPoint point(int k) const;
  // x: rows × hidden (head inputs); label: rows.
  HeadRows evaluate(const HeadPoint& point, size_t rows, const float* x, const int32_t* label, bool gradients) const;
  // s_i = ⟨−∇ℓ_i(θ_k), v⟩ / ‖v‖ with v = reference − point, both restricted to the scope. ‖v‖ = 0 is an error that
  // names λ.
  std::vector<double> alignment(const HeadPoint& point, const HeadPoint& reference, const HeadRows& rows,
                                const float* x, Scope scope, double lambda) const;
  // v of the scope, flattened: for each label [weight row, bias], then for each pooler row [weight row, bias].
  std::vector<double> direction(const HeadPoint& from, const HeadPoint& to, Scope scope) const;

  const ModelSpec& spec() const { return spec_; }
  const Ops& ops() const { return ops_; }

 private:
  const ModelSpec& spec_;
  const Ops& ops_;
  const HeadPlan plan_;
  PathTensor weight_, bias_, pooler_, pooler_bias_;
};

// What to throw where λ has reached the reference in the scope.
Error direction_zero(double lambda);
// What to throw where probe i's loss is not finite.
Error loss_not_finite(size_t i);

struct HeadScores {
  std::vector<double> loss;       // texts × (points + 2): θ₀, path, θ*
  std::vector<double> alignment;  // texts × points
  std::vector<float> logits;      // texts × (points + 2) × labels
};

// features: as run_forward returns them. Parallel over points.
HeadScores score_head(const Head& head, const Path& path, const Buffer<float>& features, size_t texts,
                      const std::vector<int32_t>& label, Scope scope, Threads& threads, Context& context);

}  // namespace warp
