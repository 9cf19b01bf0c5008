#pragma once
// What is made of a chunk's last layer on a GPU: a classifier's head inputs and the slopes of its losses along the
// path; a language model's losses and their slopes.
#include "scoring/device_block.h"

namespace warp {

// On the host.
struct DeviceResults {
  std::vector<double> loss;  // language models: texts × (points + 2), Σ over a text's targets of −log p(target)
  std::vector<double> token_loss;  // language models: tokens × 2, −log p(target) at θ₀ and θ*, 0 where there is none
  std::vector<double> slope;  // with names: texts × points, of the (summed) loss along θ* − θ_k
  std::vector<double> norm2;  // with names: points, ‖θ* − θ_k‖²
};

// A chunk behind its last layer.
struct DeviceChunk {
  const std::vector<Tile>& tiles;
  size_t begin, end;  // of those
  const std::vector<TileView>& views;  // of the chunk's
  const std::vector<size_t>& starts;  // the first row of each, and one behind
  float *x, *dx;  // points × rows × hidden: of all points, of the path's
  size_t hidden;
  bool moving, first;  // whether dx is not zero; whether norms are to be measured

  size_t rows() const { return starts.back(); }
  float* values(int point, size_t tile) const { return x + (size_t(point) * rows() + starts[tile]) * hidden; }
  float* tangents(int point, size_t tile) const { return dx + (size_t(point - 1) * rows() + starts[tile]) * hidden; }
};

// features: (points + 2) × texts × features, all of them.
void finish_classify(const DevicePass& pass, const DeviceChunk& chunk, DeviceRoom room, float* features,
                     DeviceResults& out, Context& context);
// Rows of logits exist for a block of rows only: formed, used and dropped.
void finish_language(const DevicePass& pass, const DeviceChunk& chunk, DeviceRoom room, DeviceResults& out,
                     Context& context);
// Bytes of device memory that they take for a chunk of so many tokens.
uint64_t finish_bytes(const DevicePass& pass, const std::vector<Tile>& tiles, size_t tokens);

}  // namespace warp
