#include "training/batch.h"

#include <algorithm>

namespace warp {
namespace {

constexpr size_t kTileTokens = 192;

// Each token's row of each table.
void add_rows(const Program& program, const TrainingTexts& set, uint32_t begin, uint32_t length, Batch& batch) {
  for (size_t t = 0; t < program.tables.size(); t++) {
    const TablePlan& table = program.tables[t];
    std::vector<uint32_t>& rows = batch.rows[t];
    const size_t at = rows.size();
    rows.resize(at + length, 0);
    if (table.by == TableBy::kPosition) position_rows(table, set.ids.data() + begin, length, rows.data() + at);
    for (uint32_t i = 0; i < length; i++) {
      if (table.by == TableBy::kToken) rows[at + i] = set.ids[begin + i];
      if (table.by == TableBy::kType && !set.types.empty()) rows[at + i] = set.types[begin + i];
    }
  }
}

}  // namespace

Batch make_batch(const Program& program, const TrainingTexts& set, const uint32_t* chosen, size_t count, size_t first) {
  Batch batch;
  batch.rows.resize(program.tables.size());
  for (size_t i = 0; i < count; i++) {
    const uint32_t begin = set.offsets[chosen[i]], length = set.offsets[chosen[i] + 1] - begin;
    if (batch.tiles.empty() || batch.tiles.back().tile.tokens() + length > kTileTokens) {
      batch.tiles.push_back({i, batch.tokens(), {}});
      batch.tiles.back().tile.offsets.assign(1, 0);
    }
    Tile& tile = batch.tiles.back().tile;
    const uint32_t at = selected_position(program, set.ids.data() + begin, length), start = tile.offsets.back();
    tile.texts++;
    tile.offsets.push_back(start + length);
    tile.selected.push_back(at);
    tile.rows.push_back(start + at);
    add_rows(program, set, begin, length, batch);
    for (uint32_t position = 0; position < length; position++) {
      tile.positions.push_back(position);
      batch.positions.push_back(position);
      batch.token_text.push_back(uint32_t(first + i));
      if (!set.targets.empty()) batch.targets.push_back(set.targets[begin + position]);
    }
    batch.text.push_back(uint32_t(first + i));
    batch.text_position.push_back(at);
    if (!set.label.empty()) batch.label.push_back(set.label[chosen[i]]);
    const float* soft = set.soft.data() + size_t(chosen[i]) * program.outputs;
    if (!set.soft.empty()) batch.soft.insert(batch.soft.end(), soft, soft + program.outputs);
    batch.longest = std::max<size_t>(batch.longest, length);
  }
  return batch;
}

}  // namespace warp
