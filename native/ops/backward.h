#pragma once
// What training needs beside ops.h: the derivatives of its operations, and dropout. The cpu is the one backend that
// trains; ops/reference says in double precision what each means. Conventions are those of ops.h; `d` before a name
// is the gradient with respect to it. Sums over rows go to float64 where the result is a vector.
#include "ops/ops.h"

namespace warp {

// What going back through a block needs: of the CPU and of CUDA.
class GradientOps {
 public:
  virtual ~GradientOps() = default;

  // Scratch of one caller, in floats: enough for attention_backward and for attention with dropout.
  virtual size_t attention_scratch(size_t longest, size_t head_size) const = 0;

  // For y = layer_norm(x) · gain + bias: dx (may be dy), and dgain, dbias (size) += their sums over rows.
  virtual void layer_norm_backward(size_t rows, size_t size, const float* x, size_t ldx, const float* gain, float eps,
                                   const float* dy, size_t lddy, float* dx, size_t lddx, double* dgain,
                                   double* dbias) const = 0;
  virtual void norm_backward(const NormCall& call, const float* x, size_t ldx, const NormGradients& d) const = 0;
  // Probabilities are computed again; dropout as in the forward pass.
  virtual void attention_backward(const AttentionCall& call, const AttentionGradients& d, float* scratch) const = 0;

  // x = x ⊙ mask / keep: row r belongs to token positions[r] of text texts[r].
  virtual void dropout(size_t rows, size_t size, const Dropout& dropout, const uint32_t* texts,
                       const uint32_t* positions, float* x, size_t ldx) const = 0;
  // x = 0
  virtual void clear(size_t count, float* x) const = 0;
};

class BackwardOps : public GradientOps {
 public:
  using GradientOps::attention_backward;

  virtual size_t outer_scratch(size_t rows, size_t outputs) const = 0;  // floats

  // dw (outputs × inputs) += dyᵀ x: dy rows × outputs, x rows × inputs. The weight's gradient of `linear`.
  virtual void outer(size_t rows, size_t outputs, size_t inputs, const float* dy, size_t lddy, const float* x,
                     size_t ldx, float* dw, size_t lddw, float* scratch) const = 0;

  // sums (size) += Σ over rows of x
  virtual void add_rows(size_t rows, size_t size, const float* x, size_t ldx, double* sums) const = 0;

  // y = act(x); y may be x.
  virtual void activate(Activation act, size_t rows, size_t size, const float* x, size_t ldx, float* y,
                        size_t ldy) const = 0;
  // dx = dy ⊙ act'(x), x before the activation; dx may be x or dy.
  virtual void activate_backward(Activation act, size_t rows, size_t size, const float* x, size_t ldx, const float* dy,
                                 size_t lddy, float* dx, size_t lddx) const = 0;

  // `attention` of ops.h with dropout on the probabilities: the mask's row for query position p and head a of text
  // t has position p and text (first_text + t) · heads + a.
  virtual void attention(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                         const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v,
                         size_t ldkv, const Dropout& dropout, uint32_t first_text, float* out, size_t ldo,
                         float* scratch) const = 0;
  // Its gradients (written, not added), from that of out; probabilities are computed again. dq has the rows of q.
  virtual void attention_backward(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                                  const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v,
                                  size_t ldkv, const Dropout& dropout, uint32_t first_text, const float* dout,
                                  size_t lddo, float* dq, size_t lddq, float* dk, float* dv, size_t lddkv,
                                  float* scratch) const = 0;

  // One step of AdamW or Adam on `size` parameters, as torch.optim does it (decoupled decay for AdamW; for Adam the
  // decay is added to the gradient). g is multiplied by `scale` first; null: the gradient is zero.
  struct Update {
    float rate, beta1, beta2, epsilon, decay, scale;
    float correction1, correction2;  // 1 − β₁ᵗ, √(1 − β₂ᵗ)
    bool decoupled;
  };
  virtual void update(size_t size, const Update& update, const float* g, float* p, float* m, float* v) const = 0;
};

const BackwardOps& cpu_backward_ops();                       // of the same kernels as cpu_ops()
const BackwardOps* find_cpu_backward_ops(const std::string& isa);  // as find_cpu_ops

}  // namespace warp
