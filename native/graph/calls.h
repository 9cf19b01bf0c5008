#pragma once
// What a step of a flow hands to an operation; the same in the passes forward and back.
#include "graph/run.h"

namespace warp {

// Rows of a slot.
struct Place {
  float* data = nullptr;
  size_t ld = 0;
  ConstMatrix view() const { return {data, ld}; }
  Matrix matrix() const { return {data, ld}; }
};

// A normalisation that is layer_norm's own.
inline bool is_layer_norm(const Step& s) { return s.center && s.groups == 1 && s.offset == 0 && s.bias >= 0; }

inline const float* vector_of(const BlockPoint& weights, int index) {
  return index < 0 ? nullptr : weights.vectors[size_t(index)];
}

inline NormCall norm_call(const Step& s, size_t rows, size_t width, const BlockPoint& weights) {
  NormCall c;
  c.rows = rows;
  c.size = width / s.groups;
  c.groups = s.groups;
  c.center = s.center;
  c.epsilon = s.epsilon;
  c.offset = s.offset;
  c.gain = vector_of(weights, s.gain);
  c.bias = vector_of(weights, s.bias);
  return c;
}

// Of `rows` rows from row `top` of the tile on.
inline RopeCall rope_call(const Step& s, const FlowSlot& slot, const TileView& tile, const RopeTable& table, size_t top,
                          size_t rows) {
  RopeCall c;
  c.rows = rows;
  c.heads = slot.width / s.head_size;
  c.head_size = s.head_size;
  c.rotary = s.rotary;
  c.cos = table.cos;
  c.sin = table.sin;
  c.positions = (slot.selected ? tile.selected : tile.positions) + top;
  return c;
}

// Of the whole tile, without dropout.
inline AttentionCall attention_call(const Step& s, const FlowSlot& slot, const TileView& tile, const Place& q,
                                    const Place& k, const Place& v) {
  AttentionCall c;
  c.texts = tile.texts;
  c.offsets = tile.offsets;
  c.heads = s.heads;
  c.kv_heads = s.kv_heads;
  c.head_size = s.head_size;
  c.causal = s.causal;
  c.window = s.window;
  c.scale = s.scale;
  c.softcap = s.softcap;
  c.queries = slot.selected ? tile.selected : nullptr;
  c.q = q.data;
  c.k = k.data;
  c.v = v.data;
  c.ldq = q.ld;
  c.ldkv = k.ld;
  return c;
}

}  // namespace warp
