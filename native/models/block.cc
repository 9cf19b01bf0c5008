#include "models/block.h"

#include <algorithm>

namespace warp {

size_t Room::floats(const Ops& ops, const ModelSpec& spec, size_t tokens, size_t longest) {
  const size_t widest = std::max(spec.hidden, spec.intermediate);
  const size_t rest = std::max({ops.linear_scratch(spec.hidden), ops.linear_scratch(spec.intermediate),
                                ops.linear_scratch(widest), ops.attention_scratch(longest, spec.head_size())});
  return tokens * spec.hidden * 5 + std::min(tokens, ops.block_rows()) * spec.intermediate + rest;
}

Room::Room(const Ops& ops, const ModelSpec& spec, size_t tokens, float* scratch)
    : qkv(scratch), context(qkv + tokens * spec.hidden * 3), block(context + tokens * spec.hidden),
      hidden(block + std::min(tokens, ops.block_rows()) * spec.intermediate), rest(hidden + tokens * spec.hidden) {}

void apply(const Ops& ops, const LayerPoint& weights, int linear, size_t rows, size_t outputs, size_t inputs,
           const float* x, size_t ldx, Activation act, float* y, size_t ldy, float* scratch) {
  ops.linear(rows, outputs, inputs, x, ldx, weights.packed[linear], weights.bias[linear], act, y, ldy, scratch);
}

void gather_selected(const Ops& ops, const TileView& tile, size_t hidden, const float* x, float* out) {
  ops.gather(tile.texts, hidden, x, hidden, tile.rows, out, hidden);
}

void keep_selected(const Ops& ops, const TileView& tile, size_t hidden, float* x, const Room& room) {
  gather_selected(ops, tile, hidden, x, room.qkv);
  ops.gather(tile.texts, hidden, room.qkv, hidden, nullptr, x, hidden);
}

void attend(const Ops& ops, const ModelSpec& spec, const LayerPoint& weights, const TileView& tile, bool selected_only,
            bool causal, const float* from, const Room& room) {
  const size_t h = spec.hidden, tokens = tile.tokens, ld = 3 * h;
  const float* asking = from;
  if (selected_only) {
    gather_selected(ops, tile, h, from, room.hidden);
    asking = room.hidden;
  }
  apply(ops, weights, kQuery, selected_only ? tile.texts : tokens, h, h, asking, h, Activation::kNone, room.qkv, ld,
        room.rest);
  apply(ops, weights, kKeyValue, tokens, 2 * h, h, from, h, Activation::kNone, room.qkv + h, ld, room.rest);
  ops.attention(tile.texts, tile.offsets, spec.heads, spec.head_size(), causal, selected_only ? tile.selected : nullptr,
                room.qkv, ld, room.qkv + h, room.qkv + 2 * h, ld, room.context, h, room.rest);
}

}  // namespace warp
