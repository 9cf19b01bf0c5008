#pragma once
// What making texts token by token needs besides ops.h: attention of one new token over what is kept of its text.
#include "ops/ops.h"

namespace warp {

class StepOps {
 public:
  virtual ~StepOps() = default;
  // out: rows × heads · head_size. scratch: Ops::attention_scratch() of the longest text.
  virtual void attention(const StepCall& call, float* out, size_t ldo, float* scratch) const = 0;
};

// The companion of cpu_ops(), and of find_cpu_ops(isa).
const StepOps& cpu_step_ops();
const StepOps* find_cpu_step_ops(const std::string& isa);

}  // namespace warp
