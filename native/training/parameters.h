#pragma once
// A model's tensors whole in memory as float32, with gradients and Adam's moments for those that are trained.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "files/weights.h"

namespace warp {

struct Parameter {
  std::vector<uint64_t> shape;
  bool trainable = false;
  // A gradient of some rows only (an embedding table): row i of `gradient` is that of row rows[i], rows ascending.
  bool sparse = false;
  std::vector<uint32_t> rows;
  std::vector<uint8_t> moved;  // sparse: by row, whether it ever had a gradient; its moments are zero until then
  Buffer<float> value, gradient, first, second;

  size_t elements() const { return value.size(); }
  size_t row_elements() const { return shape.empty() || shape[0] == 0 ? elements() : elements() / shape[0]; }
};

class Parameters {
 public:
  // Every tensor of `weights`; `sparse`: tables that get gradients by row.
  Parameters(const Weights& weights, const std::set<std::string>& trainable, const std::set<std::string>& sparse);

  bool has(const std::string& name) const { return all_.count(name) != 0; }
  Parameter& at(const std::string& name);
  const float* value(const std::string& name) { return at(name).value.data(); }
  bool trainable(const std::string& name) { return at(name).trainable; }
  std::map<std::string, Parameter>& all() { return all_; }

  // Gradients to zero; `used`: the rows of sparse tables that will get one, ascending.
  void clear_gradients(const std::vector<uint32_t>& used);

 private:
  std::map<std::string, Parameter> all_;
};

}  // namespace warp
