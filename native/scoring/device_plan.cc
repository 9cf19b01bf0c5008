// Device memory and work of a DeviceForward, before it starts.
#include <algorithm>

#include "scoring/device_layers.h"

namespace warp {

std::set<std::string> names_of(const LayerPlan& plan) {
  std::set<std::string> names(plan.vectors.begin(), plan.vectors.end());
  for (const LinearPlan& linear : plan.linears)
    for (const LinearPlan::Part& part : linear.parts) names.insert({part.weight, part.bias});
  return names;
}

static LayerSizes sizes_of(const Path& path, const LayerPlan& plan) {
  LayerSizes sizes;
  for (const std::string& name : names_of(plan))
    sizes.stage += DeviceStage::bytes(path, name, path.base().info(name).elements());
  for (const LinearPlan& linear : plan.linears) {
    sizes.point += device_aligned(linear.outputs() * linear.inputs * 4) + device_aligned(linear.outputs() * 4);
    if (linear.by_inputs)
      sizes.turned = std::max(sizes.turned, device_aligned(linear.inputs * linear.stored_outputs * 4));
  }
  for (const std::string& name : plan.vectors) sizes.point += device_aligned(path.base().info(name).elements() * 4);
  return sizes;
}

LayerSizes largest_layer(const Model& model, const Path& path) {
  LayerSizes most;
  for (size_t i = 0; i < model.spec.layers; i++) {
    const LayerSizes here = sizes_of(path, model.layer(i));
    most = {std::max(most.stage, here.stage), std::max(most.point, here.point), std::max(most.turned, here.turned)};
  }
  return most;
}

std::vector<std::string> tables_of(const Model& model) {
  const EmbeddingPlan plan = model.embedding();
  std::vector<std::string> tables = {plan.words, plan.positions};
  if (!plan.types.empty()) tables.push_back(plan.types);
  return tables;
}

DeviceForward::DeviceForward(const Model& model, cuda::Backend& backend, const Path& path, const PackedTexts& texts,
                             uint64_t budget, uint64_t after_bytes, size_t tile_tokens)
    : model_(model), backend_(backend), path_(path), texts_(texts), after_bytes_(after_bytes) {
  if (model.spec.head_size() > cuda::kMaxHeadSize)
    throw Error(Kind::kResource, "DEVICE_HEAD_SIZE",
                "attention heads of " + std::to_string(model.spec.head_size()) + ", on a GPU " +
                    std::to_string(cuda::kMaxHeadSize) + " at most",
                "--device cpu");
  plan_.tiles = cut_tiles(model.spec, texts, tile_tokens);
  backend_.set_longest(longest_text(texts));
  const uint64_t available = backend_.available();
  make_plan(budget == 0 ? available : std::min(budget, available));
}

void DeviceForward::make_plan(uint64_t budget) {
  const ModelSpec& spec = model_.spec;
  const uint64_t points = uint64_t(path_.points()) + 2, row = spec.hidden * sizeof(float);
  const LayerSizes layer = largest_layer(model_, path_);
  const uint64_t scratch =
      model_.scratch(backend_.ops(), largest_tile(plan_.tiles), longest_text(texts_)) * sizeof(float);
  const uint64_t layers = 2 * device_aligned(layer.stage) + layer.turned + layer.point + device_aligned(scratch);
  const uint64_t features = device_aligned(points * texts_.texts() * row);
  const uint64_t index = device_aligned((3 * texts_.texts() + plan_.tiles.size()) * 4);
  uint64_t beside = device_aligned(after_bytes_);  // never at the same time as the activations
  for (const std::string& name : tables_of(model_))
    if (needs_values(path_, name))
      beside = std::max(beside, uint64_t(DeviceStage::bytes(path_, name, path_.base().info(name).elements())));
  const EmbeddingPlan embedding = model_.embedding();
  const auto cost = [&](uint64_t tokens) {
    const auto table = [&](const std::string& name, uint64_t rows) {
      if (name.empty()) return uint64_t(0);
      const uint64_t elements = rows * path_.base().info(name).row_elements();
      return DeviceStage::bytes(path_, name, elements) + device_aligned(elements * 4) + device_aligned(rows * 4);
    };
    const uint64_t tables = table(embedding.words, std::min<uint64_t>(tokens, spec.vocabulary)) +
                            table(embedding.positions, longest_text(texts_)) + table(embedding.types, spec.types) +
                            table(embedding.gain, spec.hidden) + table(embedding.bias, spec.hidden);
    const uint64_t forward =
        index + device_aligned(points * tokens * row) + std::max(layers, 3 * device_aligned(tokens * 4) + tables);
    return features + std::max(beside, forward);
  };
  ForwardPlan plan;
  plan.tiles = plan_.tiles.size();
  plan.tokens = texts_.offsets.back();
  plan.flops = double(points) * forward_flops(spec, plan_.tiles);
  plan.smallest_bytes = cost(largest_tile(plan_.tiles));
  if (plan.smallest_bytes > budget)
    throw Error(Kind::kResource, "DEVICE_MEMORY_BUDGET",
                "this run needs at least " + std::to_string(plan.smallest_bytes) +
                    " bytes of device memory; there are " + std::to_string(budget),
                "--device-memory " + std::to_string((plan.smallest_bytes >> 20) + 1) +
                    "MiB where the device has it; else fewer probes or points, or --device cpu");
  uint64_t tokens = 0;
  for (size_t i = 0; i < plan_.tiles.size(); i++) {
    if (tokens > 0 && cost(tokens + plan_.tiles[i].tokens()) > budget) {
      plan.chunk_ends.push_back(i);
      tokens = 0;
    }
    tokens += plan_.tiles[i].tokens();
    plan.peak_bytes = std::max(plan.peak_bytes, cost(tokens));
  }
  if (!plan_.tiles.empty()) plan.chunk_ends.push_back(plan_.tiles.size());
  plan.chunks = plan.chunk_ends.size();
  plan_.forward = std::move(plan);
  plan_.staging_bytes = layer.stage;
}

}  // namespace warp
