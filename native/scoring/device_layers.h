#pragma once
// What the flow on a GPU and its plan both ask of a model.
#include "scoring/device.h"

namespace warp {

struct LayerSizes {
  size_t stage = 0, point = 0, turned = 0;  // bytes: stored tensors, θ_k, a tensor before it is transposed
};
LayerSizes sizes_of(const Path& path, const BlockWeights& weights);
// Of any layer at most.
LayerSizes largest_layer(const Program& program, const Path& path);

}  // namespace warp
