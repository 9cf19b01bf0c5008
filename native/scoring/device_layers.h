#pragma once
// What the flow on a GPU and its plan both ask of a model.
#include <set>

#include "scoring/device.h"

namespace warp {

// The tensors of a layer.
std::set<std::string> names_of(const LayerPlan& plan);

struct LayerSizes {
  size_t stage = 0, point = 0, turned = 0;  // bytes: stored tensors, θ_k, a tensor before it is transposed
};
// Of any layer at most.
LayerSizes largest_layer(const Model& model, const Path& path);

// The embedding's tables, of which a chunk uses some rows.
std::vector<std::string> tables_of(const Model& model);

}  // namespace warp
