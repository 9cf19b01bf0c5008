#include "scoring/form.h"

#include <algorithm>

namespace warp {
namespace {

constexpr size_t kStep = 64;  // outputs or inputs one task forms; a multiple of every backend's panel

size_t steps(const LinearPlan& linear) {
  const size_t rows = linear.by_inputs ? linear.inputs : linear.outputs();
  return (rows + kStep - 1) / kStep;
}

}  // namespace

Buffer<float> whole_point(const PathTensor& tensor, int k) {
  Buffer<float> values(tensor.elements());
  tensor.point(k, 0, tensor.elements(), values.data());
  return values;
}

LayerSource::LayerSource(const Path& path, const LayerPlan& plan) : plan_(plan) {
  const auto load = [&](const std::string& name) {
    if (!tensors_.count(name)) tensors_.emplace(name, path.load(name));
  };
  for (const LinearPlan& linear : plan.linears)
    for (const LinearPlan::Part& part : linear.parts) {
      load(part.weight);
      load(part.bias);
    }
  for (const std::string& name : plan.vectors) load(name);
}

uint64_t LayerSource::stored_bytes(const Path& path, const LayerPlan& plan) {
  uint64_t bytes = 0;
  std::map<std::string, bool> seen;
  for (const LinearPlan& linear : plan.linears)
    for (const LinearPlan::Part& part : linear.parts)
      for (const std::string& name : {part.weight, part.bias})
        if (seen.emplace(name, true).second) bytes += path.load_bytes(name);
  for (const std::string& name : plan.vectors) bytes += path.load_bytes(name);
  return bytes;
}

uint64_t LayerSource::point_bytes(const Ops& ops, const LayerPlan& plan, size_t hidden) {
  uint64_t floats = plan.vectors.size() * hidden;
  for (const LinearPlan& linear : plan.linears)
    floats += ops.packed_size(linear.outputs(), linear.inputs) + linear.outputs();
  return floats * sizeof(float);
}

LayerPoint LayerSource::allocate(const Ops& ops) const {
  LayerPoint point;
  const auto hold = [&](size_t count) {
    point.held.emplace_back(count);
    return point.held.back().data();
  };
  for (const LinearPlan& linear : plan_.linears) {
    point.packed.push_back(hold(ops.packed_size(linear.outputs(), linear.inputs)));
    point.bias.push_back(hold(linear.outputs()));
  }
  for (const std::string& name : plan_.vectors) point.vectors.push_back(hold(tensors_.at(name).elements()));
  return point;
}

void LayerSource::form(const Ops& ops, Threads& threads, int k, LayerPoint& point) const {
  size_t tasks = 1;
  for (const LinearPlan& linear : plan_.linears) tasks += steps(linear);
  threads.parallel(tasks, [&](size_t task, int) {
    if (task-- == 0) return form_vectors(k, point);
    for (size_t i = 0; i < plan_.linears.size(); i++) {
      const LinearPlan& linear = plan_.linears[i];
      if (task < steps(linear)) {
        const size_t first = task * kStep;
        return linear.by_inputs ? form_inputs(ops, linear, k, first, point.packed[i])
                                : form_outputs(ops, linear, k, first, point.packed[i]);
      }
      task -= steps(linear);
    }
  });
}

void LayerSource::form_vectors(int k, LayerPoint& point) const {
  for (size_t i = 0; i < plan_.linears.size(); i++) {
    const LinearPlan& linear = plan_.linears[i];
    for (size_t part = 0; part < linear.parts.size(); part++)
      tensors_.at(linear.parts[part].bias)
          .point(k, linear.parts[part].first, linear.part_outputs, point.bias[i] + part * linear.part_outputs);
  }
  for (size_t i = 0; i < plan_.vectors.size(); i++) {
    const PathTensor& tensor = tensors_.at(plan_.vectors[i]);
    tensor.point(k, 0, tensor.elements(), point.vectors[i]);
  }
}

void LayerSource::form_outputs(const Ops& ops, const LinearPlan& linear, int k, size_t first, float* packed) const {
  const size_t end = std::min(linear.outputs(), first + kStep), width = linear.inputs;
  Buffer<float> rows(kStep * width);
  while (first < end) {  // a step may straddle parts
    const size_t part = first / linear.part_outputs, row = first % linear.part_outputs;
    const size_t count = std::min(end - first, linear.part_outputs - row);
    tensors_.at(linear.parts[part].weight).point(k, row * width, count * width, rows.data());
    ops.pack_outputs(linear.outputs(), width, first, count, rows.data(), width, packed);
    first += count;
  }
}

void LayerSource::form_inputs(const Ops& ops, const LinearPlan& linear, int k, size_t first, float* packed) const {
  const size_t count = std::min(kStep, linear.inputs - first), width = linear.stored_outputs;
  Buffer<float> rows(count * linear.outputs());
  for (size_t part = 0; part < linear.parts.size(); part++) {
    const PathTensor& tensor = tensors_.at(linear.parts[part].weight);
    for (size_t row = 0; row < count; row++)
      tensor.point(k, (first + row) * width + linear.parts[part].first, linear.part_outputs,
                   rows.data() + row * linear.outputs() + part * linear.part_outputs);
  }
  ops.pack_inputs(linear.outputs(), linear.inputs, first, count, rows.data(), linear.outputs(), packed);
}

}  // namespace warp
