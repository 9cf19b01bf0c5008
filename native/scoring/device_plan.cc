// Device memory and work of a DeviceForward, before it starts.
#include <algorithm>

#include "scoring/device_layers.h"

namespace warp {

LayerSizes sizes_of(const Path& path, const BlockWeights& weights) {
  LayerSizes sizes;
  for (const std::string& name : weights.names())
    sizes.stage += DeviceStage::bytes(path, name, path.base().info(name).elements());
  for (const LinearPlan& linear : weights.linears) {
    sizes.point += device_aligned(linear.outputs() * linear.inputs * 4) + device_aligned(linear.outputs() * 4);
    if (linear.turned) sizes.turned = std::max(sizes.turned, device_aligned(linear.inputs * linear.stored_outputs * 4));
  }
  for (const VectorPlan& vector : weights.vectors) sizes.point += device_aligned(vector.size * 4);
  return sizes;
}

LayerSizes largest_layer(const Program& program, const Path& path) {
  LayerSizes most;
  for (const Block& layer : program.layers) {
    const LayerSizes here = sizes_of(path, layer.weights);
    most = {std::max(most.stage, here.stage), std::max(most.point, here.point), std::max(most.turned, here.turned)};
  }
  return most;
}

namespace {

// What the GPU's kernels and closed forms do not do (yet): said before anything is read.
void check_program(const Program& program) {
  for (const Block& layer : program.layers)
    for (const Step& step : layer.steps)
      if (step.kind == StepKind::kAttention && step.head_size > cuda::kMaxHeadSize)
        throw Error(Kind::kResource, "DEVICE_HEAD_SIZE",
                    "attention heads of " + std::to_string(step.head_size) + ", on a GPU " +
                        std::to_string(cuda::kMaxHeadSize) + " at most",
                    "--device cpu");
  const bool tanh = !program.head_plan.has_dense() || program.head_plan.activation == Activation::kTanh;
  if (program.language || program.every_row() || !tanh)
    throw Error(Kind::kResource, "DEVICE_NETWORK", "this network's head is not computed on a GPU", "--device cpu");
}

uint64_t flow_bytes(const Flow& flow, const Ops& ops, size_t tokens, size_t longest) {
  return device_aligned((flow.slot_floats(ops, tokens) + flow.rest_floats(ops, longest, false)) * sizeof(float));
}

}  // namespace

DeviceForward::DeviceForward(const Program& program, cuda::Backend& backend, const Path& path, const PackedTexts& texts,
                             uint64_t budget, uint64_t after_bytes, size_t tile_tokens)
    : program_(program), backend_(backend), path_(path), texts_(texts), after_bytes_(after_bytes) {
  check_program(program);
  plan_.tiles = cut_tiles(program, texts, tile_tokens);
  backend_.set_longest(longest_text(texts));
  const uint64_t available = backend_.available();
  make_plan(budget == 0 ? available : std::min(budget, available));
}

void DeviceForward::make_plan(uint64_t budget) {
  const uint64_t points = uint64_t(path_.points()) + 2, row = program_.hidden * sizeof(float);
  const Ops& ops = backend_.ops();
  const size_t most = largest_tile(plan_.tiles), longest = longest_text(texts_);
  const LayerSizes layer = largest_layer(program_, path_), around = sizes_of(path_, program_.embed.weights);
  const LayerSizes before_head = sizes_of(path_, program_.before_head.weights);
  uint64_t scratch = 0;
  for (size_t i = 0; i < program_.layers.size(); i++)
    scratch = std::max(scratch, flow_bytes(make_flow(program_.layers[i], layer_options(i)), ops, most, longest));
  const uint64_t layers = 2 * device_aligned(layer.stage) + layer.turned + layer.point + scratch;
  const uint64_t embedding = around.stage + around.point + around.turned +
                             flow_bytes(make_flow(program_.embed, kEmbedOptions), ops, most, 1) +
                             device_aligned(most * program_.embedding * sizeof(float));
  const uint64_t last = before_head.stage + before_head.point + before_head.turned +
                        flow_bytes(make_flow(program_.before_head, kHeadOptions), ops, most, 1);
  const uint64_t features = device_aligned(points * texts_.texts() * program_.features() * sizeof(float));
  const uint64_t ropes = device_aligned(HostRopes::bytes(program_, longest)) + program_.ropes.size() * kDeviceAlignment;
  const uint64_t index = device_aligned((3 * texts_.texts() + texts_.offsets.back() + plan_.tiles.size()) * 4) + ropes;
  uint64_t beside = device_aligned(after_bytes_);  // never at the same time as the activations
  for (const TablePlan& table : program_.tables)
    if (needs_values(path_, table.tensor))
      beside = std::max(beside,
                        uint64_t(DeviceStage::bytes(path_, table.tensor, path_.base().info(table.tensor).elements())));
  const auto cost = [&](uint64_t tokens) {
    uint64_t tables = 0;
    for (const TablePlan& table : program_.tables) {
      const uint64_t rows = std::min<uint64_t>(tokens, table.rows), elements = rows * program_.embedding;
      tables += DeviceStage::bytes(path_, table.tensor, elements) + device_aligned(elements * 4) +
                device_aligned(rows * 4) + device_aligned(tokens * 4);
    }
    const uint64_t forward =
        index + device_aligned(points * tokens * row) + std::max({layers, embedding + tables, last});
    return features + std::max(beside, forward);
  };
  ForwardPlan plan;
  plan.tiles = plan_.tiles.size();
  plan.tokens = texts_.offsets.back();
  plan.flops = double(points) * forward_flops(program_, plan_.tiles);
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
