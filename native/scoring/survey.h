#pragma once
// How far two models lie apart, tensor by tensor, in one reading of every tensor they share.
#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"

namespace warp {

struct TensorSurvey {
  std::string name;
  double norm = 0;        // of the base's tensor
  double delta_norm = 0;  // of reference minus base
  double max_delta = 0;   // largest |reference - base|
  uint64_t changed = 0;   // elements that differ
  uint64_t moved = 0;     // elements that differ by more than the rounding to the coarser of the two dtypes
  // the first value that is no finite float32, in the base if there is one; the figures above then mean nothing
  enum class Side { kNone, kBase, kReference } non_finite = Side::kNone;
  uint64_t index = 0;
};

// Tensors that both models have with the same shape, in name order. Values are read as float32, sums are float64
// over fixed blocks: the same bits for any number of threads. Progress counts elements.
std::vector<TensorSurvey> survey(const Weights& base, const Weights& reference, Threads& threads, Context& context);

}  // namespace warp
