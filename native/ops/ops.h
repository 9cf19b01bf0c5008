#pragma once
// The one list of operations a backend offers (cpu, cuda; ops/reference says in plain double precision what each
// means). Matrices are row-major float32 with a leading dimension in elements; texts are packed: their tokens lie
// one after the other, offsets[t] .. offsets[t + 1], no padding. An operation on 0 rows does nothing. A backend's
// results do not depend on how rows are split over calls. `…_tangent`: the derivative of the operation's result along
// the given tangents of its arguments. Structs of arguments are in calls.h.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ops/calls.h"

namespace warp {

enum class Activation {
  kNone,
  kGelu,      // x Φ(x), by the error function
  kGeluTanh,  // ½x (1 + tanh(√(2/π)(x + .044715 x³)))
  kRelu,
  kTanh,
  kSilu,      // x / (1 + e⁻ˣ)
};

class Ops {
 public:
  virtual ~Ops() = default;
  virtual const char* name() const = 0;  // "cpu/avx512" …

  // --- weights of a linear layer, in the layout that `linear` multiplies with ---
  virtual size_t packed_size(size_t outputs, size_t inputs) const = 0;  // floats
  // Rows [first, first + count) of a weight stored outputs × inputs (torch.nn.Linear); rows: count × inputs, its
  // rows `ld` apart. Every output must be packed before use; different outputs may be packed by different threads
  // when `first` is a multiple of panel().
  virtual void pack_outputs(size_t outputs, size_t inputs, size_t first, size_t count, const float* rows, size_t ld,
                            float* packed) const = 0;
  // Rows [first, first + count) of a weight stored inputs × outputs (GPT-2's Conv1D); any split over threads.
  virtual void pack_inputs(size_t outputs, size_t inputs, size_t first, size_t count, const float* rows, size_t ld,
                           float* packed) const = 0;
  virtual size_t panel() const = 0;

  // Rows that one call of an operation should get at most: those that stay near while a layer works on them.
  virtual size_t block_rows() const = 0;

  // Scratch of one caller of the operations below, in floats; its contents need not be initialised.
  virtual size_t linear_scratch(size_t inputs) const = 0;
  virtual size_t attention_scratch(size_t longest, size_t head_size) const = 0;
  virtual size_t attention_tangent_scratch(size_t longest, size_t head_size) const = 0;

  // y = act(x Wᵀ + b): x rows × inputs, y rows × outputs; bias (outputs) may be null.
  virtual void linear(size_t rows, size_t outputs, size_t inputs, const float* x, size_t ldx, const float* packed,
                      const float* bias, Activation act, float* y, size_t ldy, float* scratch) const = 0;

  // y = (x + r − mean) / √(var + eps) · gain + bias by row of `size`; r may be null; y may be x.
  virtual void layer_norm(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr,
                          const float* gain, const float* bias, float eps, float* y, size_t ldy) const = 0;

  // y += x, rows × size
  virtual void add(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy) const = 0;

  // softmax(q kᵀ / √head_size) v within each text, by head. q (texts' query rows), k, v: tokens × (heads ·
  // head_size) with leading dimensions ldq and ldkv. queries == nullptr: every token asks, q and out have a row per
  // token. Otherwise text t asks with one token only, at position queries[t] of the text, and q and out have one
  // row per text. causal: position i sees 0 … i.
  virtual void attention(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                         const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v,
                         size_t ldkv, float* out, size_t ldo, float* scratch) const = 0;

  // y may be x.
  virtual void norm(const NormCall& call, const float* x, size_t ldx, float* y, size_t ldy) const = 0;
  // dy may be the tangent's dx.
  virtual void norm_tangent(const NormCall& call, const NormTangent& along, float* dy, size_t lddy) const = 0;
  // y may be x.
  virtual void rope(const RopeCall& call, const float* x, size_t ldx, float* y, size_t ldy) const = 0;
  // scratch: attention_scratch(); with dropout that of BackwardOps is enough too
  virtual void attention(const AttentionCall& call, float* out, size_t ldo, float* scratch) const = 0;
  // Without dropout. scratch: attention_tangent_scratch()
  virtual void attention_tangent(const AttentionCall& call, const AttentionTangents& along, float* scratch) const = 0;

  // y = act(x); y may be x.
  virtual void activate(Activation act, size_t rows, size_t size, const float* x, size_t ldx, float* y,
                        size_t ldy) const = 0;
  // dy = dx ⊙ act'(x): tangent and gradient alike; dy may be x or dx.
  virtual void activate_slope(Activation act, size_t rows, size_t size, ConstMatrix x, ConstMatrix dx,
                              Matrix dy) const = 0;
  // y = a ⊙ b; y may be a or b.
  virtual void multiply(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y) const = 0;
  // y += a ⊙ b
  virtual void multiply_add(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y) const = 0;
  // y = cap · tanh(x / cap); y may be x.
  virtual void softcap(size_t rows, size_t size, float cap, ConstMatrix x, Matrix y) const = 0;
  // dy = dx ⊙ (1 − (y / cap)²), y the operation's result; dy may be y or dx.
  virtual void softcap_slope(size_t rows, size_t size, float cap, ConstMatrix y, ConstMatrix dx, Matrix dy) const = 0;
  // x *= factor
  virtual void scale(size_t rows, size_t size, float factor, Matrix x) const = 0;
  // y[index[i]] += x[i], in order; the indices are distinct
  virtual void scatter_add(size_t rows, size_t size, ConstMatrix x, const uint32_t* index, Matrix y) const = 0;

  // By row of `size` logits z: loss = log Σ e^z − z[target]; e = (softmax(z) − onehot(target)) · weight, not wanted
  // where its data is null; e may be the logits.
  virtual void cross_entropy(size_t rows, size_t size, ConstMatrix logits, const uint32_t* target, double* loss,
                             float weight, Matrix e) const = 0;
  // dots[r] = Σ_j a[r][j] b[r][j] in float64
  virtual void row_dots(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, double* dots) const = 0;

  // y[i] = x[index[i]]; index null: x[i]. rows × size; x and y do not overlap.
  virtual void gather(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y,
                      size_t ldy) const = 0;

  // y[i] = Σ_t tables[t][index[t][i]] over `count` tables of rows of `size`
  virtual void embed(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index,
                     float* y, size_t ldy) const = 0;
};

// The best this processor offers; WARP_ISA=avx512|avx2|portable asks for one by name.
const Ops& cpu_ops();
// "avx512" "avx2" "portable", or "" for the best; null where the processor has it not.
const Ops* find_cpu_ops(const std::string& isa);
// Of cpu_ops(), by name: what every other table of loops goes by.
std::string cpu_isa();

}  // namespace warp
