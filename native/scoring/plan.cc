// Memory and work of run_pass, before it starts.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/absorb.h"
#include "scoring/pass.h"

namespace warp {

size_t longest_text(const PackedTexts& texts) {
  uint32_t longest = 0;
  for (size_t t = 0; t < texts.texts(); t++) longest = std::max(longest, texts.offsets[t + 1] - texts.offsets[t]);
  return longest;
}

size_t largest_tile(const std::vector<Tile>& tiles) {
  size_t most = 0;
  for (const Tile& tile : tiles) most = std::max(most, tile.tokens());
  return most;
}

double forward_flops(const Program& program, const std::vector<Tile>& tiles) {
  double flops = 0;
  for (size_t i = 0; i < program.layers.size(); i++)
    for (const Tile& tile : tiles)
      flops += block_flops(program.layers[i], !program.every_row() && i + 1 == program.layers.size(), tile.texts,
                           tile.offsets.data());
  return flops;
}

std::vector<Tile> cut_tiles(const Program& program, const PackedTexts& texts, size_t most) {
  std::vector<Tile> tiles;
  for (size_t t = 0; t < texts.texts(); t++) {
    const uint32_t begin = texts.offsets[t], length = texts.offsets[t + 1] - begin;
    if (tiles.empty() || tiles.back().tokens() + length > most) {
      tiles.emplace_back();
      tiles.back().first_text = t;
      tiles.back().offsets.push_back(0);
    }
    Tile& tile = tiles.back();
    tile.texts++;
    tile.selected.push_back(selected_position(program, texts.ids.data() + begin, length));
    tile.rows.push_back(tile.offsets.back() + tile.selected.back());
    for (uint32_t i = 0; i < length; i++) tile.positions.push_back(i);
    tile.offsets.push_back(tile.offsets.back() + length);
  }
  return tiles;
}

Error memory_budget(uint64_t smallest, uint64_t budget) {
  return Error(Kind::kResource, "MEMORY_BUDGET",
               "this run needs at least " + std::to_string(smallest) + " bytes of working memory; the budget is " +
                   std::to_string(budget) + " bytes",
               "--memory " + std::to_string((smallest >> 20) + 1) + "MiB, fewer probes or fewer points");
}

std::vector<Block> pass_layers(const PassArguments& a) {
  std::vector<Block> layers = a.program.layers;
  if (!a.scope && !a.program.every_row()) layers.back() = absorb_keys(layers.back());
  return layers;
}

namespace {

// What a layer holds at its point, and each worker: bytes.
struct Sizes {
  uint64_t layer = 0, worker = 0;
};

Sizes sizes_of(const PassArguments& a) {
  Sizes sizes;
  const size_t tokens = largest_tile(a.tiles), longest = longest_text(a.texts);
  uint64_t slots = 0, rest = 0, tangents = 0;
  const auto look = [&](const Block& block, FlowOptions options) {
    const Flow plain = make_flow(block, options);
    const uint64_t formed = a.scope && WeightSource::in_scope(block.weights, a.scope->names) ? 4 : 2;
    sizes.layer = std::max(sizes.layer, WeightSource::stored_bytes(a.path, block.weights) +
                                            formed * WeightSource::point_bytes(a.ops, block.weights));
    slots = std::max<uint64_t>(slots, plain.slot_floats(a.ops, tokens));
    rest = std::max<uint64_t>(rest, plain.rest_floats(a.ops, longest, false));
    if (!a.scope) return;
    options.fuse = false;
    const Flow derived = make_flow(block, options);
    tangents = std::max<uint64_t>(tangents, derived.slot_floats(a.ops, tokens));
    rest = std::max<uint64_t>(rest, derived.rest_floats(a.ops, longest, true));
  };
  look(a.program.embed, {false, apart(a.program), true});
  const std::vector<Block> layers = pass_layers(a);
  for (size_t i = 0; i < layers.size(); i++)
    look(layers[i], {!a.program.every_row() && i + 1 == layers.size(), false, true});
  const uint64_t sums = apart(a.program) ? (a.scope ? 2 : 1) * tokens * a.program.embedding : 0;
  const uint64_t forming = 64 * a.program.widest_linear();
  sizes.worker = (std::max(slots, tangents) + tangents + rest + sums + forming) * sizeof(float);
  return sizes;
}

// Every group of points reads the layers again, and holds so much less: as many groups as make both together least, all
// that is held and all that is read again weighing the same.
int points_at_once(const PassArguments& a) {
  uint64_t stored = 1;
  for (const Block& layer : a.program.layers) stored += WeightSource::stored_bytes(a.path, layer.weights);
  const double held = double(a.passes()) * a.texts.offsets.back() * double(a.program.hidden) * sizeof(float);
  const int groups = std::max(1, int(std::sqrt(held * (a.scope ? 2 : 1) / double(stored))));
  return std::max(std::min(2, a.passes()), (a.passes() + groups - 1) / groups);
}

}  // namespace

ForwardPlan plan_pass(const PassArguments& a, const PassBudget& budget) {
  const Program& program = a.program;
  const uint64_t points = uint64_t(a.passes()), row = program.hidden * sizeof(float);
  ForwardPlan plan;
  plan.group = points_at_once(a);
  const uint64_t copies = uint64_t(plan.group) * (a.scope ? 2 : 1);
  const Sizes sizes = sizes_of(a);
  const uint64_t ropes = HostRopes::bytes(program, longest_text(a.texts));
  const uint64_t index =
      a.texts.offsets.back() * 17 + a.texts.texts() * 4 + a.tiles.size() * 176 + a.texts.texts() * 12;
  const uint64_t fixed = budget.kept_bytes + uint64_t(budget.threads) * sizes.worker + index + ropes;
  // A chunk's tokens cost their activations at every point, and at most one row of each table, three times (two
  // stored, one formed; with a scope twice more); the tables' rows and a layer's weights are not held together.
  const auto cost = [&](uint64_t tokens) {
    uint64_t rows = 0;
    for (const TablePlan& table : program.tables) rows += std::min<uint64_t>(tokens, table.rows);
    const uint64_t tables = rows * program.embedding * sizeof(float) * (a.scope ? 5 : 3);
    return fixed + tokens * (row * copies + 4 * program.tables.size()) + std::max(sizes.layer, tables);
  };
  plan.tiles = a.tiles.size();
  plan.tokens = a.texts.offsets.back();
  plan.smallest_bytes = std::max(budget.after_bytes, cost(largest_tile(a.tiles)));
  if (plan.smallest_bytes > budget.budget) throw memory_budget(plan.smallest_bytes, budget.budget);
  plan.peak_bytes = budget.after_bytes;
  uint64_t tokens = 0;
  for (size_t i = 0; i < a.tiles.size(); i++) {
    if (tokens > 0 && cost(tokens + a.tiles[i].tokens()) > budget.budget) {
      plan.chunk_ends.push_back(i);
      tokens = 0;
    }
    tokens += a.tiles[i].tokens();
    plan.peak_bytes = std::max(plan.peak_bytes, cost(tokens));
  }
  if (!a.tiles.empty()) plan.chunk_ends.push_back(a.tiles.size());
  plan.chunks = plan.chunk_ends.size();
  // a derivative costs two products more
  plan.flops = double(points + (a.scope ? 2 * (points - 2) : 0)) * forward_flops(program, a.tiles);
  return plan;
}

}  // namespace warp
