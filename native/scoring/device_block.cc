#include "scoring/device_block.h"

#include <algorithm>

namespace warp {

size_t stage_bytes(const Path& path, const std::vector<std::string>& names) {
  size_t bytes = 0;
  for (const std::string& name : names) bytes += DeviceStage::bytes(path, name, path.base().info(name).elements());
  return bytes;
}

DeviceStage staged(const DevicePass& pass, const BlockWeights& tensors, char* memory) {
  DeviceStage stage(pass.backend, pass.path);
  for (const std::string& name : tensors.names()) stage.add(name);
  stage.send(memory);
  return stage;
}

DeviceWeights::DeviceWeights(DeviceRoom& room, const DevicePass& pass, const BlockWeights& tensors,
                             const ScopeNames* names)
    : backend_(pass.backend), tensors_(tensors), names_(names), points_(pass.path.points()) {
  const auto moves = [&](const std::string& name) { return names && names->count(name) != 0; };
  size_t turned = 0;
  for (const LinearPlan& linear : tensors.linears) {
    bool weight_moves = false, bias_moves = false;
    for (const LinearPlan::Part& part : linear.parts) {
      weight_moves = weight_moves || moves(part.weight);
      bias_moves = bias_moves || moves(part.bias);
    }
    const size_t outputs = linear.outputs(), size = outputs * linear.inputs;
    point_.packed.push_back(room.take<float>(size));
    point_.bias.push_back(linear.parts[0].bias.empty() ? nullptr : room.take<float>(outputs));
    direction_.packed.push_back(take(room, weight_moves, point_.packed.back(), size));
    direction_.bias.push_back(take(room, bias_moves, point_.bias.back(), outputs));
    if (linear.turned) turned = std::max(turned, linear.inputs * linear.stored_outputs);
  }
  for (const VectorPlan& vector : tensors.vectors) {
    point_.vectors.push_back(room.take<float>(vector.size));
    direction_.vectors.push_back(take(room, moves(vector.name), point_.vectors.back(), vector.size));
  }
  turned_ = room.take<float>(turned);
  if (!this->moves()) return;
  norms_ = room.take<cuda::PairStatistics>(parts_.size() * size_t(points_));
  workspace_ = room.take<char>(cuda::pair_workspace(largest_));
}

float* DeviceWeights::take(DeviceRoom& room, bool wanted, float* from, size_t count) {
  if (!wanted) return nullptr;
  parts_.push_back({room.take<float>(count), from, count});
  largest_ = std::max(largest_, count);
  return parts_.back().values;
}

void DeviceWeights::form(const DeviceStage& stage, int k, bool measured) {
  fill(stage, k, point_, nullptr);
  if (!moves() || k < 0 || k >= points_) return;
  fill(stage, points_, direction_, names_);
  for (size_t i = 0; i < parts_.size(); i++) {
    const Part& part = parts_[i];
    backend_.subtract(part.count, part.from, part.values);
    const cuda::Stored v{part.values, Dtype::kF32};
    if (measured)
      backend_.statistics(v, v, nullptr, part.count, norms_ + size_t(k) * parts_.size() + i, workspace_,
                          cuda::Queue::kCompute);
  }
}

void DeviceWeights::add_norms(std::vector<double>& norm2) const {
  if (!moves()) return;
  std::vector<cuda::PairStatistics> found(norm2.size() * parts_.size());
  backend_.download(found.data(), norms_, found.size() * sizeof found[0], cuda::Queue::kCompute);
  for (size_t i = 0; i < found.size(); i++) norm2[i / parts_.size()] += found[i].base2;
}

// θ_k of the whole block, or of what is in `names`; in the place of the rest is what point_ has, so that the
// difference is zero.
void DeviceWeights::fill(const DeviceStage& stage, int k, const BlockPoint& to, const ScopeNames* names) {
  const auto form = [&](const std::string& name, size_t begin, size_t count, float* out, const float* still) {
    if (!names || names->count(name) != 0) return stage.form(name, k, begin, count, out);
    backend_.ops().gather(1, count, still, count, nullptr, out, count);
  };
  std::string in_turned;  // the tensor that lies there now: GPT-2 takes two linear layers from one
  for (size_t i = 0; i < tensors_.linears.size(); i++) {
    const LinearPlan& linear = tensors_.linears[i];
    size_t done = 0;  // outputs
    for (const LinearPlan::Part& part : linear.parts) {
      const size_t at = done * linear.inputs, count = part.rows * linear.inputs;
      float *packed = to.packed[i], *bias = to.bias[i];
      if (packed && !linear.turned) {
        form(part.weight, part.first * linear.inputs, count, packed + at, point_.packed[i] + at);
      } else if (packed) {  // parts of one tensor
        if (in_turned != part.weight) stage.form(part.weight, k, 0, stage.elements(part.weight), turned_);
        in_turned = part.weight;
        backend_.transpose(linear.inputs, part.rows, turned_ + part.first, linear.stored_outputs, packed + at,
                           linear.inputs);
      }
      if (bias) form(part.bias, part.first, part.rows, bias + done, point_.bias[i] + done);
      done += part.rows;
    }
  }
  for (size_t i = 0; i < tensors_.vectors.size(); i++)
    if (to.vectors[i]) stage.form(tensors_.vectors[i].name, k, 0, tensors_.vectors[i].size, to.vectors[i]);
}

DeviceBlock::DeviceBlock(DeviceRoom& room, const DevicePass& pass, const Block& block, FlowOptions options, size_t most,
                         const ScopeNames* names)
    : weights(room, pass, block.weights, names), ops_(pass.backend.ops()), plain_(make_flow(block, options)) {
  size_t slots = plain_.slot_floats(ops_, most), tangents = 0;
  if (names) {
    options.fuse = false;
    derived_ = make_flow(block, options);
    tangents = derived_.slot_floats(ops_, most);
    slots = std::max(slots, tangents);
  }
  slots_ = room.take<float>(slots);
  if (!names) return;
  tangents_ = room.take<float>(tangents);
  rest_ = room.take<float>(derived_.widest_linear() * std::min(most, ops_.block_rows()));
}

void DeviceBlock::run(const TileView& view, const std::vector<RopeTable>& ropes, const DeviceRows& rows) {
  run_flow({ops_, plain_, weights.point(), ropes, view, rows.x, rows.out, slots_, rest_});
}

void DeviceBlock::derive(const TileView& view, const std::vector<RopeTable>& ropes, const DeviceRows& rows) {
  run_tangent({ops_, derived_, weights.point(), ropes, view, rows.x, rows.out, slots_, rest_},
              {weights.direction(), rows.moving, rows.dx, rows.dout, tangents_});
}

}  // namespace warp
