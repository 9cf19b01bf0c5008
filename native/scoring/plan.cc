// Memory and work of run_forward, before it starts.
#include <algorithm>

#include "scoring/form.h"
#include "scoring/forward.h"

namespace warp {
namespace {

// The row that feeds the head: the first token, or GPT-2's last that is not padding (transformers' rule; the
// first when all are padding).
uint32_t selected_row(const ModelSpec& spec, const uint32_t* ids, uint32_t length) {
  if (spec.kind != "gpt2") return 0;
  for (uint32_t i = length; i > 0; i--)
    if (spec.pad < 0 || int64_t(ids[i - 1]) != spec.pad) return i - 1;
  return 0;
}

double layer_flops(const ModelSpec& spec, const std::vector<Tile>& tiles, bool last) {
  const double h = double(spec.hidden), f = double(spec.intermediate);
  double flops = 0;
  for (const Tile& tile : tiles) {
    const double rows = last ? double(tile.texts) : double(tile.tokens());
    flops += 2 * (double(tile.tokens()) * 2 * h * h + rows * (2 * h * h + 2 * h * f));
    for (size_t t = 0; t < tile.texts; t++) {
      const double length = double(tile.offsets[t + 1] - tile.offsets[t]);
      flops += 4 * length * (last ? 1 : length) * h;
    }
  }
  return flops;
}

}  // namespace

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

double forward_flops(const ModelSpec& spec, const std::vector<Tile>& tiles) {
  double flops = 0;
  for (size_t i = 0; i < spec.layers; i++) flops += layer_flops(spec, tiles, i + 1 == spec.layers);
  return flops;
}

std::vector<Tile> cut_tiles(const ModelSpec& spec, const PackedTexts& texts, size_t most) {
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
    tile.selected.push_back(selected_row(spec, texts.ids.data() + begin, length));
    tile.rows.push_back(tile.offsets.back() + tile.selected.back());
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

ForwardPlan plan_forward(const Model& model, const Ops& ops, const Path& path, const PackedTexts& texts,
                         const std::vector<Tile>& tiles, int threads, uint64_t budget, uint64_t kept_bytes,
                         uint64_t after_bytes) {
  const ModelSpec& spec = model.spec;
  const uint64_t points = uint64_t(path.points()) + 2, row = spec.hidden * sizeof(float);
  uint64_t layer = 0;
  for (size_t i = 0; i < spec.layers; i++) {
    const LayerPlan plan = model.layer(i);
    layer = std::max(layer, LayerSource::stored_bytes(path, plan) + LayerSource::point_bytes(ops, plan, spec.hidden));
  }
  const uint64_t workers = uint64_t(threads) *
                           (model.scratch(ops, largest_tile(tiles), longest_text(texts)) +
                            64 * 4 * std::max(spec.hidden, spec.intermediate)) *
                           sizeof(float);
  const uint64_t index = texts.offsets.back() * 13 + texts.texts() * 4 + tiles.size() * 152 + texts.texts() * 12;
  const uint64_t fixed = kept_bytes + points * texts.texts() * row + workers + index;
  // A chunk's tokens cost their activations at every point, and at most one embedding row each, three times
  // (two stored, one formed); the embedding's rows and a layer's weights are not held at the same time.
  const auto cost = [&](uint64_t tokens) {
    const uint64_t words = std::min<uint64_t>(tokens, spec.vocabulary) + spec.positions + spec.types;
    return fixed + tokens * (row * points + 12) + std::max(layer, words * row * 3);
  };
  ForwardPlan plan;
  plan.tiles = tiles.size();
  plan.tokens = texts.offsets.back();
  plan.smallest_bytes = std::max(after_bytes, cost(largest_tile(tiles)));
  if (plan.smallest_bytes > budget) throw memory_budget(plan.smallest_bytes, budget);
  plan.peak_bytes = after_bytes;
  uint64_t tokens = 0;
  for (size_t i = 0; i < tiles.size(); i++) {
    if (tokens > 0 && cost(tokens + tiles[i].tokens()) > budget) {
      plan.chunk_ends.push_back(i);
      tokens = 0;
    }
    tokens += tiles[i].tokens();
    plan.peak_bytes = std::max(plan.peak_bytes, cost(tokens));
  }
  if (!tiles.empty()) plan.chunk_ends.push_back(tiles.size());
  plan.chunks = plan.chunk_ends.size();
  plan.flops = double(points) * forward_flops(spec, tiles);
  return plan;
}

}  // namespace warp
