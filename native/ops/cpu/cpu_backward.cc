// Training on the CPU: the kernels that go with those cpu.cc picks.
#include "ops/backward.h"
#include "ops/cpu/backward_kernels.h"

namespace warp {
namespace {

class CpuBackwardOps : public BackwardOps {
 public:
  explicit CpuBackwardOps(const cpu::BackwardKernels& kernels) : k_(kernels) {}

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
    k_.activate(int(act), rows, size, x, ldx, y, ldy);
  }
  void activate_backward(Activation act, size_t rows, size_t size, const float* x, size_t ldx, const float* dy,
                         size_t lddy, float* dx, size_t lddx) const override {
    k_.activate_backward(int(act), rows, size, x, ldx, dy, lddy, dx, lddx);
  }
  void layer_norm_backward(size_t rows, size_t size, const float* x, size_t ldx, const float* gain, float eps,
                           const float* dy, size_t lddy, float* dx, size_t lddx, double* dgain,
                           double* dbias) const override {
    k_.layer_norm_backward(rows, size, x, ldx, gain, eps, dy, lddy, dx, lddx, dgain, dbias);
  }
  void dropout(size_t rows, size_t size, const Dropout& dropout, const uint32_t* texts, const uint32_t* positions,
               float* x, size_t ldx) const override {
    k_.dropout(rows, size, dropout, texts, positions, x, ldx);
  }
  void attention(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                 const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
                 const Dropout& dropout, uint32_t first_text, float* out, size_t ldo, float* scratch) const override {
    k_.attention({texts, offsets, heads, head_size, causal, queries, q, ldq, k, v, ldkv, dropout, first_text}, out, ldo,
                 scratch);
  }
  void attention_backward(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                          const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v,
                          size_t ldkv, const Dropout& dropout, uint32_t first_text, const float* dout, size_t lddo,
                          float* dq, size_t lddq, float* dk, float* dv, size_t lddkv, float* scratch) const override {
    k_.attention_backward({texts, offsets, heads, head_size, causal, queries, q, ldq, k, v, ldkv, dropout, first_text},
                          dout, lddo, dq, lddq, dk, dv, lddkv, scratch);
  }
  void update(size_t size, const Update& u, const float* g, float* p, float* m, float* v) const override {
    k_.update(size, {u.rate, u.beta1, u.beta2, u.epsilon, u.decay, u.scale, u.correction1, u.correction2, u.decoupled},
              g, p, m, v);
  }

 private:
  const cpu::BackwardKernels& k_;
};

}  // namespace

const BackwardOps* find_cpu_backward_ops(const std::string& isa) {
  const Ops* ops = find_cpu_ops(isa);
  if (!ops) return nullptr;
  static const CpuBackwardOps portable(cpu::portable_backward);
#if defined(__x86_64__)
  static const CpuBackwardOps avx2(cpu::avx2_backward), avx512(cpu::avx512_backward);
  if (ops->name() == std::string("cpu/avx512")) return &avx512;
  if (ops->name() == std::string("cpu/avx2")) return &avx2;
#endif
  return &portable;
}

const BackwardOps& cpu_backward_ops() { return *find_cpu_backward_ops(cpu_isa()); }

}  // namespace warp
