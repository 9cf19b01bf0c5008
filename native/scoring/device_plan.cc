// Device memory and work of a DeviceForward, before it starts.
#include <algorithm>

#include "scoring/device.h"

namespace warp {
namespace {

// What the GPU's kernels do not do: said before anything is read.
void check_program(const Program& program) {
  for (const Block& layer : program.layers)
    for (const Step& step : layer.steps)
      if (step.kind == StepKind::kAttention && step.head_size > cuda::kMaxHeadSize)
        throw Error(Kind::kResource, "DEVICE_HEAD_SIZE",
                    "attention heads of " + std::to_string(step.head_size) + ", on a GPU " +
                        std::to_string(cuda::kMaxHeadSize) + " at most",
                    "--device cpu");
}

template <class Take>
uint64_t counted(Take take) {
  DeviceRoom room;
  take(room);
  return room.most();
}

}  // namespace

DeviceForward::DeviceForward(const DevicePass& pass, uint64_t budget, uint64_t after_bytes)
    : pass_(pass), after_bytes_(after_bytes) {
  check_program(pass_.program);
  plan_.tiles = cut_tiles(pass_.program, pass_.texts, pass_.tile_tokens);
  pass_.backend.set_longest(longest_text(pass_.texts));
  const uint64_t available = pass_.backend.available();
  make_plan(budget == 0 ? available : std::min(budget, available));
}

size_t DeviceForward::layer_stage() const {
  size_t most = 0;
  for (const Block& layer : pass_.program.layers)
    most = std::max(most, device_aligned(stage_bytes(pass_.path, layer.weights.names())));
  return most;
}

// Of embedding tables that no linear layer reads as well (a tied output layer is the head's to count).
bool DeviceForward::apart_norm(const TablePlan& table) const {
  if (!pass_.names || pass_.names->count(table.tensor) == 0) return false;
  const std::vector<std::string> head = pass_.program.head.weights.names();
  return !std::binary_search(head.begin(), head.end(), table.tensor);
}

void DeviceForward::make_plan(uint64_t budget) {
  const Program& program = pass_.program;
  const Path& path = pass_.path;
  const uint64_t points = uint64_t(pass_.passes()), row = program.hidden * sizeof(float);
  const uint64_t changes = pass_.names ? points - 2 : 0;
  const size_t most = largest_tile(plan_.tiles), longest = longest_text(pass_.texts), stage = layer_stage();
  uint64_t layers = 0;
  for (size_t i = 0; i < program.layers.size(); i++)
    layers = std::max(layers, counted([&](DeviceRoom& room) {
                        DeviceBlock(room, pass_, program.layers[i], layer_options(i), most, pass_.names);
                      }));
  layers += 2 * stage;
  const uint64_t embedding =
      device_aligned(stage_bytes(path, program.embed.weights.names())) + counted([&](DeviceRoom& room) {
        DeviceBlock(room, pass_, program.embed, kEmbedOptions, most, pass_.names);
        for (size_t i = 0; i < (pass_.names ? 2 : 1); i++) room.take<float>(most * program.embedding);
      });
  const uint64_t features = device_aligned(feature_count() * sizeof(float));
  const uint64_t ropes = device_aligned(HostRopes::bytes(program, longest)) + program.ropes.size() * kDeviceAlignment;
  const uint64_t index =
      device_aligned((3 * pass_.texts.texts() + pass_.texts.offsets.back() + plan_.tiles.size()) * 4) + ropes;
  uint64_t beside = device_aligned(after_bytes_);  // never at the same time as the activations
  uint64_t whole = 0;                              // a table that is read whole
  for (const TablePlan& table : program.tables) {
    const bool measured = apart_norm(table);
    if (!measured && !needs_values(path, table.tensor)) continue;
    const uint64_t bytes = device_aligned(stage_bytes(path, {table.tensor}));
    whole = std::max(whole, bytes);
    beside = std::max(beside, bytes + (measured ? counted([&](DeviceRoom& room) {
                                TableNorm(room, path.base().info(table.tensor).elements());
                              })
                                                : 0));
  }
  const auto cost = [&](uint64_t tokens) {
    uint64_t tables = 0;
    for (const TablePlan& table : program.tables) {
      const uint64_t rows = std::min<uint64_t>(tokens, table.rows), elements = rows * program.embedding;
      tables += DeviceStage::bytes(path, table.tensor, elements) +
                (pass_.names ? 2 : 1) * device_aligned(elements * 4) + device_aligned(rows * 4) +
                device_aligned(tokens * 4);
    }
    const uint64_t forward = index + device_aligned(points * tokens * row) + device_aligned(changes * tokens * row) +
                             std::max({layers, embedding + tables, finish_bytes(pass_, plan_.tiles, tokens)});
    return features + std::max(beside, forward);
  };
  ForwardPlan plan;
  plan.tiles = plan_.tiles.size();
  plan.tokens = pass_.texts.offsets.back();
  plan.flops = double(points + 2 * changes) * forward_flops(program, plan_.tiles);  // a derivative: two products more
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
  plan_.staging_bytes = stage;
  const std::vector<std::string> head =
      (program.language || pass_.names ? program.head : program.before_head).weights.names();
  plan_.host_bytes = std::max<uint64_t>({3 * stage, whole, stage_bytes(path, head)});
}

}  // namespace warp
