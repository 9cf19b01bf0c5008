#include "training/parameters.h"

#include <algorithm>

namespace warp {

Parameters::Parameters(const Weights& weights, const std::set<std::string>& trainable,
                       const std::set<std::string>& sparse) {
  for (const auto& [name, info] : weights.tensors()) {
    Parameter& p = all_[name];
    p.shape = info.shape;
    p.value = Buffer<float>(info.elements());
    weights.read_float(name, 0, info.elements(), p.value.data());
    if (!trainable.count(name)) continue;
    p.trainable = true;
    p.sparse = sparse.count(name) != 0;
    p.first = Buffer<float>(p.elements());
    p.second = Buffer<float>(p.elements());
    std::fill(p.first.begin(), p.first.end(), 0.0f);
    std::fill(p.second.begin(), p.second.end(), 0.0f);
    if (p.sparse) p.moved.assign(p.shape[0], 0);
    else p.gradient = Buffer<float>(p.elements());
  }
}

Parameter& Parameters::at(const std::string& name) {
  const auto found = all_.find(name);
  if (found == all_.end()) throw internal_error("no parameter " + name);
  return found->second;
}

void Parameters::clear_gradients(const std::vector<uint32_t>& used) {
  for (auto& entry : all_) {
    Parameter& p = entry.second;
    if (!p.trainable) continue;
    if (p.sparse) {
      p.rows = used;
      if (p.gradient.size() < used.size() * p.row_elements())
        p.gradient = Buffer<float>(used.size() * p.row_elements());
      std::fill(p.gradient.begin(), p.gradient.begin() + used.size() * p.row_elements(), 0.0f);
    } else {
      std::fill(p.gradient.begin(), p.gradient.end(), 0.0f);
    }
  }
}

}  // namespace warp
