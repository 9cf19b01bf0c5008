// The CPU backend: picks the kernels of this processor.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "core/error.h"
#include "ops/cpu/kernels.h"
#include "ops/ops.h"

namespace warp {
namespace {

class CpuOps : public Ops {
 public:
  explicit CpuOps(const cpu::Kernels& kernels) : k_(kernels), name_(std::string("cpu/") + kernels.name) {}
  const char* name() const override { return name_.c_str(); }

  size_t panel() const override { return k_.panel; }
  size_t packed_size(size_t outputs, size_t inputs) const override {
    return (outputs + k_.panel - 1) / k_.panel * k_.panel * inputs;
  }
  void pack_outputs(size_t, size_t inputs, size_t first, size_t count, const float* rows, size_t ld,
                    float* packed) const override {
    k_.pack_outputs(inputs, first, count, rows, ld, packed);
  }
  void pack_inputs(size_t outputs, size_t inputs, size_t first, size_t count, const float* rows, size_t ld,
                   float* packed) const override {
    k_.pack_inputs(outputs, inputs, first, count, rows, ld, packed);
  }
  size_t block_rows() const override { return 96; }  // in a core's second-level cache, with their feed-forward
  size_t linear_scratch(size_t inputs) const override { return k_.linear_scratch(inputs); }
  size_t attention_scratch(size_t longest, size_t head_size) const override {
    return k_.attention_scratch(longest, head_size);
  }
  size_t attention_tangent_scratch(size_t longest, size_t head_size) const override {
    return k_.attention_tangent_scratch(longest, head_size);
  }
  void linear(size_t rows, size_t outputs, size_t inputs, const float* x, size_t ldx, const float* packed,
              const float* bias, Activation act, float* y, size_t ldy, float* scratch) const override {
    k_.linear(rows, outputs, inputs, x, ldx, packed, bias, int(act), y, ldy, scratch);
  }
  void layer_norm(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr, const float* gain,
                  const float* bias, float eps, float* y, size_t ldy) const override {
    k_.norm({rows, size, 1, true, eps, 0, gain, bias}, x, ldx, r, ldr, y, ldy);
  }
  void add(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy) const override {
    k_.add(rows, size, x, ldx, y, ldy);
  }
  void attention(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                 const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
                 float* out, size_t ldo, float* scratch) const override {
    k_.attention({texts,
                  offsets,
                  heads,
                  heads,
                  head_size,
                  causal,
                  0,
                  float(1 / std::sqrt(double(head_size))),
                  0,
                  queries,
                  q,
                  k,
                  v,
                  ldq,
                  ldkv,
                  {},
                  0},
                 out, ldo, scratch);
  }
  void norm(const NormCall& call, const float* x, size_t ldx, float* y, size_t ldy) const override {
    k_.norm(call, x, ldx, nullptr, 0, y, ldy);
  }
  void norm_tangent(const NormCall& call, const NormTangent& along, float* dy, size_t lddy) const override {
    k_.norm_tangent(call, along, dy, lddy);
  }
  void rope(const RopeCall& call, const float* x, size_t ldx, float* y, size_t ldy) const override {
    k_.rope(call, x, ldx, y, ldy);
  }
  void attention(const AttentionCall& call, float* out, size_t ldo, float* scratch) const override {
    k_.attention(call, out, ldo, scratch);
  }
  void attention_tangent(const AttentionCall& call, const AttentionTangents& along, float* scratch) const override {
    k_.attention_tangent(call, along, scratch);
  }
  void activate(Activation act, size_t rows, size_t size, const float* x, size_t ldx, float* y,
                size_t ldy) const override {
    k_.activate(int(act), rows, size, x, ldx, y, ldy);
  }
  void activate_slope(Activation act, size_t rows, size_t size, ConstMatrix x, ConstMatrix dx,
                      Matrix dy) const override {
    k_.activate_slope(int(act), rows, size, x, dx, dy);
  }
  void multiply(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y) const override {
    k_.multiply(rows, size, a, b, y);
  }
  void multiply_add(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y) const override {
    k_.multiply_add(rows, size, a, b, y);
  }
  void softcap(size_t rows, size_t size, float cap, ConstMatrix x, Matrix y) const override {
    k_.softcap(rows, size, cap, x, y);
  }
  void softcap_slope(size_t rows, size_t size, float cap, ConstMatrix y, ConstMatrix dx, Matrix dy) const override {
    k_.softcap_slope(rows, size, cap, y, dx, dy);
  }
  void scale(size_t rows, size_t size, float factor, Matrix x) const override { k_.scale(rows, size, factor, x); }
  void scatter_add(size_t rows, size_t size, ConstMatrix x, const uint32_t* index, Matrix y) const override {
    k_.scatter_add(rows, size, x, index, y);
  }
  void cross_entropy(size_t rows, size_t size, ConstMatrix logits, const uint32_t* target, double* loss, float weight,
                     Matrix e) const override {
    k_.cross_entropy(rows, size, logits, target, loss, weight, e);
  }
  void row_dots(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, double* dots) const override {
    k_.row_dots(rows, size, a, b, dots);
  }
  void gather(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y,
              size_t ldy) const override {
    for (size_t i = 0; i < rows; i++) std::memcpy(y + i * ldy, x + (index ? index[i] : i) * ldx, size * sizeof(float));
  }
  void embed(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index, float* y,
             size_t ldy) const override {
    k_.embed(rows, size, count, tables, index, y, ldy);
  }

 private:
  const cpu::Kernels& k_;
  const std::string name_;
};

}  // namespace

#if defined(__x86_64__)
// not every compiler's __builtin_cpu_supports knows f16c
static bool has_f16c() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

const Ops* find_cpu_ops(const std::string& isa) {
  static const CpuOps portable(cpu::portable_kernels);
#if defined(__x86_64__)
  static const CpuOps avx2(cpu::avx2_kernels), avx512(cpu::avx512_kernels);
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_avx512 && (isa.empty() || isa == "avx512")) return &avx512;
  if (has_avx2 && (isa.empty() || isa == "avx2")) return &avx2;
#endif
  return isa.empty() || isa == "portable" ? &portable : nullptr;
}

const Ops& cpu_ops() {
  const char* asked = std::getenv("WARP_ISA");
  const Ops* ops = find_cpu_ops(asked ? asked : "");
  if (!ops)
    throw Error(Kind::kUsage, "ISA_UNAVAILABLE", std::string("WARP_ISA=") + asked + ": not on this processor",
                "avx512, avx2 or portable; leave it unset for the best");
  return *ops;
}

std::string cpu_isa() { return std::string(cpu_ops().name()).substr(4); }

}  // namespace warp
