// Training on the CPU: the kernels that go with those cpu.cc picks.
#include <cmath>
#include <cstring>

#include "ops/backward.h"
#include "ops/cpu/backward_kernels.h"

namespace warp {
namespace {

class CpuBackwardOps : public BackwardOps {
 public:
  CpuBackwardOps(const cpu::BackwardKernels& kernels, const Ops& ops) : k_(kernels), ops_(ops) {}

  size_t outer_scratch(size_t rows, size_t outputs) const override { return k_.outer_scratch(rows, outputs); }
  size_t attention_scratch(size_t longest, size_t head_size) const override {
    return k_.attention_scratch(longest, head_size);
  }
  void outer(size_t rows, size_t outputs, size_t inputs, const float* dy, size_t lddy, const float* x, size_t ldx,
             float* dw, size_t lddw, float* scratch) const override {
    k_.outer(rows, outputs, inputs, dy, lddy, x, ldx, dw, lddw, scratch);
  }
  void add_rows(size_t rows, size_t size, const float* x, size_t ldx, double* sums) const override {
    k_.add_rows(rows, size, x, ldx, sums);
  }
  void activate(Activation act, size_t rows, size_t size, const float* x, size_t ldx, float* y,
                size_t ldy) const override {
    ops_.activate(act, rows, size, x, ldx, y, ldy);
  }
  void activate_backward(Activation act, size_t rows, size_t size, const float* x, size_t ldx, const float* dy,
                         size_t lddy, float* dx, size_t lddx) const override {
    ops_.activate_slope(act, rows, size, {x, ldx}, {dy, lddy}, {dx, lddx});
  }
  void layer_norm_backward(size_t rows, size_t size, const float* x, size_t ldx, const float* gain, float eps,
                           const float* dy, size_t lddy, float* dx, size_t lddx, double* dgain,
                           double* dbias) const override {
    k_.norm_backward({rows, size, 1, true, eps, 0, gain, nullptr}, x, ldx, {dy, lddy, dx, lddx, dgain, dbias});
  }
  void norm_backward(const NormCall& call, const float* x, size_t ldx, const NormGradients& d) const override {
    k_.norm_backward(call, x, ldx, d);
  }
  void attention_backward(const AttentionCall& call, const AttentionGradients& d, float* scratch) const override {
    k_.attention_backward(call, d, scratch);
  }
  void dropout(size_t rows, size_t size, const Dropout& dropout, const uint32_t* texts, const uint32_t* positions,
               float* x, size_t ldx) const override {
    k_.dropout(rows, size, dropout, texts, positions, x, ldx);
  }
  void attention(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                 const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
                 const Dropout& dropout, uint32_t first_text, float* out, size_t ldo, float* scratch) const override {
    ops_.attention(call(texts, offsets, heads, head_size, causal, queries, q, ldq, k, v, ldkv, dropout, first_text),
                   out, ldo, scratch);
  }
  void attention_backward(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                          const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v,
                          size_t ldkv, const Dropout& dropout, uint32_t first_text, const float* dout, size_t lddo,
                          float* dq, size_t lddq, float* dk, float* dv, size_t lddkv, float* scratch) const override {
    k_.attention_backward(call(texts, offsets, heads, head_size, causal, queries, q, ldq, k, v, ldkv, dropout,
                               first_text),
                          {dout, lddo, dq, dk, dv, lddq, lddkv}, scratch);
  }
  void clear(size_t count, float* x) const override { std::memset(x, 0, count * sizeof(float)); }
  void update(size_t size, const Update& u, const float* g, float* p, float* m, float* v) const override {
    k_.update(size, {u.rate, u.beta1, u.beta2, u.epsilon, u.decay, u.scale, u.correction1, u.correction2, u.decoupled},
              g, p, m, v);
  }

 private:
  static AttentionCall call(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                            const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v,
                            size_t ldkv, const Dropout& dropout, uint32_t first_text) {
    return {texts,     offsets, heads, heads, head_size, causal, 0,    float(1 / std::sqrt(double(head_size))),
            0,         queries, q,     k,     v,         ldq,    ldkv, dropout,
            first_text};
  }

  const cpu::BackwardKernels& k_;
  const Ops& ops_;
};

}  // namespace

const BackwardOps* find_cpu_backward_ops(const std::string& isa) {
  static const CpuBackwardOps portable(cpu::portable_backward, *find_cpu_ops("portable"));
  const Ops* ops = find_cpu_ops(isa);
  if (!ops) return nullptr;
  const std::string name = ops->name();
#if defined(__x86_64__)
  if (name == "cpu/avx512") {
    static const CpuBackwardOps avx512(cpu::avx512_backward, *ops);
    return &avx512;
  }
  if (name == "cpu/avx2") {
    static const CpuBackwardOps avx2(cpu::avx2_backward, *ops);
    return &avx2;
  }
#endif
  return &portable;
}

const BackwardOps& cpu_backward_ops() { return *find_cpu_backward_ops(cpu_isa()); }

}  // namespace warp
