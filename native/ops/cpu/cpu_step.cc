#include "ops/cpu/kernels.h"
#include "ops/step.h"

namespace warp {
namespace {

class CpuStepOps : public StepOps {
 public:
  explicit CpuStepOps(const cpu::Kernels& kernels) : k_(kernels) {}
  void attention(const StepCall& call, float* out, size_t ldo, float* scratch) const override {
    k_.attention_step(call, out, ldo, scratch);
  }

 private:
  const cpu::Kernels& k_;
};

}  // namespace

const StepOps* find_cpu_step_ops(const std::string& isa) {
  const Ops* ops = find_cpu_ops(isa);
  if (!ops) return nullptr;
  const std::string name = ops->name();
  static const CpuStepOps portable(cpu::portable_kernels);
#if defined(__x86_64__)
  static const CpuStepOps avx2(cpu::avx2_kernels), avx512(cpu::avx512_kernels);
  if (name == "cpu/avx512") return &avx512;
  if (name == "cpu/avx2") return &avx2;
#endif
  return &portable;
}

const StepOps& cpu_step_ops() { return *find_cpu_step_ops(cpu_isa()); }

}  // namespace warp
