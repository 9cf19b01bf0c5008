#pragma once
// What the layers of both architectures share: room in scratch, and the attention's products.
#include "models/model.h"

namespace warp {

// Linear layers of a LayerPoint, in the order both architectures list them.
enum { kQuery, kKeyValue, kProjection, kUp, kDown, kLinears };

struct Room {
  float *qkv, *context, *block, *hidden, *rest;
  static size_t floats(const Ops& ops, const ModelSpec& spec, size_t tokens, size_t longest);
  Room(const Ops& ops, const ModelSpec& spec, size_t tokens, float* scratch);
};

// context (a row per token, or per text when selected_only) = attention of `from` (tokens × hidden).
// When selected_only the rows that ask are gathered from `from` into room.hidden first.
void attend(const Ops& ops, const ModelSpec& spec, const LayerPoint& weights, const TileView& tile, bool selected_only,
            bool causal, const float* from, const Room& room);

// Row `text` of out = each text's selected row of x.
void gather_selected(const Ops& ops, const TileView& tile, size_t hidden, const float* x, float* out);

// Leaves the selected rows at the front of x; by way of room.qkv, which the attention no longer needs.
void keep_selected(const Ops& ops, const TileView& tile, size_t hidden, float* x, const Room& room);

void apply(const Ops& ops, const LayerPoint& weights, int linear, size_t rows, size_t outputs, size_t inputs,
           const float* x, size_t ldx, Activation act, float* y, size_t ldy, float* scratch);

}  // namespace warp
