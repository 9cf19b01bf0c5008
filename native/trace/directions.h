#pragma once
// Where rows of a table moved, as cosines with some directions.
#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"

namespace warp {

struct DirectionsRequest {
  std::string name;  // of a tensor that both have with one shape
  std::vector<uint32_t> rows;
  double alpha = 0;               // of the rows' common decay
  std::vector<float> directions;  // one after the other, each as long as a row
};

// rows × directions: ⟨u, direction⟩ with u = r/‖r‖, r = θ* − (1 + α)θ₀; 0 where r is. Progress counts rows. The same
// bits for any number of threads.
std::vector<double> row_directions(const Weights& base, const Weights& reference, const DirectionsRequest& request,
                                   Threads& threads, Context& context);

}  // namespace warp
