#pragma once
// AdamW and Adam over a whole parameter set. Formulas of torch.optim; sums and chunks do not depend on threads.
#include "core/threads.h"
#include "ops/backward.h"
#include "training/parameters.h"

namespace warp {

struct OptimizerOptions {
  bool decoupled = true;  // AdamW; else Adam, whose decay goes into the gradient
  double beta1 = .9, beta2 = .999, epsilon = 1e-8, decay = .01;
  double clip = 0;  // largest norm of all gradients together; 0: no clipping
};

// Euclidean norm of all gradients together.
double gradient_norm(Parameters& parameters, Threads& threads);

// Step number `step` (from 1) with learning rate `rate`; `norm` is that of the gradients, for clipping.
void optimizer_step(Parameters& parameters, const OptimizerOptions& options, double rate, uint64_t step, double norm,
                    const BackwardOps& ops, Threads& threads);

}  // namespace warp
