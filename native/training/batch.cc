#include "training/batch.h"

#include <algorithm>

namespace warp {
namespace {

constexpr size_t kTileTokens = 192;

// The head reads BERT's first token, GPT-2's last that is not padding.
uint32_t selected_position(const ModelSpec& spec, const uint32_t* ids, uint32_t length) {
  if (spec.kind != "gpt2") return 0;
  for (uint32_t i = length; i > 0; i--)
    if (int64_t(ids[i - 1]) != spec.pad) return i - 1;
  return length - 1;
}

}  // namespace

Batch make_batch(const ModelSpec& spec, const TrainingTexts& set, const uint32_t* chosen, size_t count, size_t first) {
  Batch batch;
  for (size_t i = 0; i < count; i++) {
    const uint32_t begin = set.offsets[chosen[i]], length = set.offsets[chosen[i] + 1] - begin;
    if (batch.tiles.empty() || batch.tiles.back().tile.tokens() + length > kTileTokens) {
      batch.tiles.push_back({i, batch.tokens(), {}});
      batch.tiles.back().tile.offsets.assign(1, 0);
    }
    Tile& tile = batch.tiles.back().tile;
    const uint32_t at = selected_position(spec, set.ids.data() + begin, length), start = tile.offsets.back();
    tile.texts++;
    tile.offsets.push_back(start + length);
    tile.selected.push_back(at);
    tile.rows.push_back(start + at);
    batch.text_row.push_back(uint32_t(batch.tokens()) + at);
    for (uint32_t position = 0; position < length; position++) {
      batch.words.push_back(set.ids[begin + position]);
      batch.types.push_back(set.types.empty() ? 0 : set.types[begin + position]);
      batch.positions.push_back(position);
      batch.token_text.push_back(uint32_t(first + i));
    }
    batch.text.push_back(uint32_t(first + i));
    batch.text_position.push_back(at);
    batch.label.push_back(set.label[chosen[i]]);
    batch.longest = std::max<size_t>(batch.longest, length);
  }
  return batch;
}

}  // namespace warp
