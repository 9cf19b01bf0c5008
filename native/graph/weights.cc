#include "graph/weights.h"

#include <algorithm>

namespace warp {
namespace {

constexpr size_t kStep = 64;  // outputs or inputs one task forms; a multiple of every backend's panel

size_t steps(const LinearPlan& linear) {
  const size_t rows = linear.turned ? linear.inputs : linear.outputs();
  return (rows + kStep - 1) / kStep;
}

}  // namespace

Buffer<float> whole_point(const PathTensor& tensor, int k) {
  Buffer<float> values(tensor.elements());
  tensor.point(k, 0, tensor.elements(), values.data());
  return values;
}

WeightSource::WeightSource(const Path& path, const BlockWeights& weights)
    : weights_(weights), reference_(path.points()) {
  for (const std::string& name : weights.names()) tensors_.emplace(name, path.load(name));
}

uint64_t WeightSource::stored_bytes(const Path& path, const BlockWeights& weights) {
  uint64_t bytes = 0;
  for (const std::string& name : weights.names()) bytes += path.load_bytes(name);
  return bytes;
}

uint64_t WeightSource::point_bytes(const Ops& ops, const BlockWeights& weights) {
  uint64_t floats = 0;
  for (const VectorPlan& vector : weights.vectors) floats += vector.size;
  for (const LinearPlan& linear : weights.linears)
    floats += ops.packed_size(linear.outputs(), linear.inputs) + linear.outputs();
  return floats * sizeof(float);
}

bool WeightSource::in_scope(const BlockWeights& weights, const ScopeNames& scope) {
  const std::vector<std::string> names = weights.names();
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return scope.count(name) != 0; });
}

BlockPoint WeightSource::allocate(const Ops& ops) const { return allocate(ops, nullptr); }
BlockPoint WeightSource::allocate_direction(const Ops& ops, const ScopeNames& scope) const {
  return allocate(ops, &scope);
}

BlockPoint WeightSource::allocate(const Ops& ops, const ScopeNames* scope) const {
  BlockPoint point;
  const auto hold = [&](bool wanted, size_t count) -> float* {
    if (!wanted) return nullptr;
    point.held.emplace_back(count);
    return point.held.back().data();
  };
  const auto moves = [&](const std::string& name) { return !scope || scope->count(name) != 0; };
  for (const LinearPlan& linear : weights_.linears) {
    bool weight = false, bias = false;
    for (const LinearPlan::Part& part : linear.parts) {
      weight = weight || moves(part.weight);
      bias = bias || (!part.bias.empty() && moves(part.bias));
    }
    point.packed.push_back(hold(weight, ops.packed_size(linear.outputs(), linear.inputs)));
    point.bias.push_back(hold(bias, linear.outputs()));
  }
  for (const VectorPlan& vector : weights_.vectors) point.vectors.push_back(hold(moves(vector.name), vector.size));
  return point;
}

void WeightSource::Values::read(const std::string& name, size_t begin, size_t count, float* out) const {
  const PathTensor& tensor = source.tensors_.at(name);
  if (!scope) return tensor.point(k, begin, count, out);
  if (scope->count(name) == 0) return std::fill(out, out + count, 0.0f);
  constexpr size_t kChunk = 1024;
  float here[kChunk];
  tensor.point(source.reference_, begin, count, out);
  for (size_t done = 0; done < count; done += kChunk) {
    const size_t take = std::min(kChunk, count - done);
    tensor.point(k, begin + done, take, here);
    for (size_t i = 0; i < take; i++) out[done + i] -= here[i];
  }
}

size_t WeightSource::tasks() const {
  size_t tasks = 1;
  for (const LinearPlan& linear : weights_.linears) tasks += steps(linear);
  return tasks;
}

void WeightSource::form(const Ops& ops, Threads& threads, int k, BlockPoint& point) const {
  threads.parallel(tasks(), [&](size_t task, int) { form_task(ops, k, task, point); });
}

void WeightSource::form_direction(const Ops& ops, Threads& threads, int k, const ScopeNames& scope,
                                  BlockPoint& point) const {
  threads.parallel(tasks(), [&](size_t task, int) { form_direction_task(ops, k, scope, task, point); });
}

void WeightSource::form_task(const Ops& ops, int k, size_t task, BlockPoint& point) const {
  form_task(ops, Values{*this, k, nullptr}, task, point);
}

void WeightSource::form_direction_task(const Ops& ops, int k, const ScopeNames& scope, size_t task,
                                       BlockPoint& point) const {
  form_task(ops, Values{*this, k, &scope}, task, point);
}

void WeightSource::form_task(const Ops& ops, const Values& values, size_t task, BlockPoint& point) const {
  if (task-- == 0) return form_vectors(values, point);
  for (size_t i = 0; i < weights_.linears.size(); i++) {
    const LinearPlan& linear = weights_.linears[i];
    if (task >= steps(linear)) {
      task -= steps(linear);
      continue;
    }
    if (!point.packed[i]) return;
    return linear.turned ? form_inputs(ops, linear, values, task * kStep, point.packed[i])
                         : form_outputs(ops, linear, values, task * kStep, point.packed[i]);
  }
}

BlockPoint WeightSource::allocate_turned(const Ops& ops) const {
  BlockPoint point;
  for (const LinearPlan& linear : weights_.linears) {
    point.held.emplace_back(ops.packed_size(linear.inputs, linear.outputs()));
    point.packed.push_back(point.held.back().data());
  }
  return point;
}

void WeightSource::form_turned(const Ops& ops, Threads& threads, int k, BlockPoint& point) const {
  std::vector<std::pair<size_t, size_t>> tasks;  // linear layer, first row
  for (size_t i = 0; i < weights_.linears.size(); i++)
    for (size_t step = 0; step < steps(weights_.linears[i]); step++) tasks.push_back({i, step * kStep});
  threads.parallel(tasks.size(), [&](size_t task, int) {
    const auto [i, first] = tasks[task];
    form_turned_part(ops, weights_.linears[i], k, first, point.packed[i]);
  });
}

void WeightSource::form_turned_part(const Ops& ops, const LinearPlan& linear, int k, size_t first,
                                    float* packed) const {
  const size_t outputs = linear.outputs(), inputs = linear.inputs;
  if (linear.turned) {
    const size_t count = std::min(kStep, inputs - first), width = linear.stored_outputs;
    Buffer<float> rows(count * outputs);
    size_t column = 0;
    for (const LinearPlan::Part& part : linear.parts) {
      for (size_t row = 0; row < count; row++)
        tensors_.at(part.weight)
            .point(k, (first + row) * width + part.first, part.rows, rows.data() + row * outputs + column);
      column += part.rows;
    }
    return ops.pack_outputs(inputs, outputs, first, count, rows.data(), outputs, packed);
  }
  Buffer<float> rows(kStep * inputs);
  size_t start = 0;
  for (const LinearPlan::Part& part : linear.parts) {
    const size_t from = std::max(first, start), end = std::min({first + kStep, outputs, start + part.rows});
    if (from < end) {
      tensors_.at(part.weight).point(k, (part.first + from - start) * inputs, (end - from) * inputs, rows.data());
      ops.pack_inputs(inputs, outputs, from, end - from, rows.data(), inputs, packed);
    }
    start += part.rows;
  }
}

void WeightSource::form_vectors(const Values& values, BlockPoint& point) const {
  for (size_t i = 0; i < weights_.linears.size(); i++) {
    float* to = point.bias[i];
    if (!to) continue;
    for (const LinearPlan::Part& part : weights_.linears[i].parts) {
      if (!part.bias.empty()) values.read(part.bias, part.first, part.rows, to);
      else std::fill(to, to + part.rows, 0.0f);
      to += part.rows;
    }
  }
  for (size_t i = 0; i < weights_.vectors.size(); i++)
    if (point.vectors[i]) values.read(weights_.vectors[i].name, 0, weights_.vectors[i].size, point.vectors[i]);
}

void WeightSource::form_outputs(const Ops& ops, const LinearPlan& linear, const Values& values, size_t first,
                                float* packed) const {
  const size_t outputs = linear.outputs(), end = std::min(outputs, first + kStep), width = linear.inputs;
  Buffer<float> rows(kStep * width);
  size_t part = 0, start = 0;  // the part that `first` lies in, its first output
  while (first >= start + linear.parts[part].rows) start += linear.parts[part++].rows;
  while (first < end) {  // a step may straddle parts
    const LinearPlan::Part& here = linear.parts[part];
    const size_t row = first - start, count = std::min(end - first, here.rows - row);
    values.read(here.weight, (here.first + row) * width, count * width, rows.data());
    ops.pack_outputs(outputs, width, first, count, rows.data(), width, packed);
    first += count;
    if (first == start + here.rows) start += linear.parts[part++].rows;
  }
}

void WeightSource::form_inputs(const Ops& ops, const LinearPlan& linear, const Values& values, size_t first,
                               float* packed) const {
  const size_t count = std::min(kStep, linear.inputs - first), width = linear.stored_outputs,
               outputs = linear.outputs();
  Buffer<float> rows(count * outputs);
  size_t column = 0;
  for (const LinearPlan::Part& part : linear.parts) {
    for (size_t row = 0; row < count; row++)
      values.read(part.weight, (linear.first_input + first + row) * width + part.first, part.rows,
                  rows.data() + row * outputs + column);
    column += part.rows;
  }
  ops.pack_inputs(outputs, linear.inputs, first, count, rows.data(), outputs, packed);
}

}  // namespace warp
