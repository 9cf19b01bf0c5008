#pragma once
// The forward passes of a whole path, layer-major: for a chunk of probes, each layer is read once, θ_k is formed
// for every point in turn, and all the chunk's tiles are pushed through it. Bits depend on the texts alone: tiles
// are cut before chunks, and who computes a tile does not matter.
#include "core/context.h"
#include "core/threads.h"
#include "models/model.h"
#include "paths/path.h"

namespace warp {

struct PackedTexts {
  std::vector<uint32_t> ids, offsets;  // offsets: texts + 1
  std::vector<uint8_t> types;          // by token; empty: all 0
  size_t texts() const { return offsets.size() - 1; }
};

// What a run will hold at its peak. Points are θ₀, the path's, θ*.
struct ForwardPlan {
  uint64_t peak_bytes = 0, smallest_bytes = 0;  // of native working memory; smallest: with the smallest chunks
  uint64_t chunks = 0, tokens = 0, tiles = 0;
  double flops = 0;  // multiply-adds count 2
  std::vector<size_t> chunk_ends;  // tile index behind each chunk
};

// Whole texts, up to `most` tokens where one text is not longer, cut from the texts alone. What a core's cache holds
// through a layer is about 288.
std::vector<Tile> cut_tiles(const ModelSpec& spec, const PackedTexts& texts, size_t most = 288);

size_t longest_text(const PackedTexts& texts);
size_t largest_tile(const std::vector<Tile>& tiles);
// Multiply-adds of all layers at one point, times 2.
double forward_flops(const ModelSpec& spec, const std::vector<Tile>& tiles);

// `kept_bytes`: what the caller holds besides (results); `after_bytes`: all that it will hold once the forward passes
// are done, head inputs included. Throws MEMORY_BUDGET, naming the smallest budget that would do, when `budget` does
// not.
ForwardPlan plan_forward(const Model& model, const Ops& ops, const Path& path, const PackedTexts& texts,
                         const std::vector<Tile>& tiles, int threads, uint64_t budget, uint64_t kept_bytes,
                         uint64_t after_bytes);

// What to throw where a budget does not do.
Error memory_budget(uint64_t smallest, uint64_t budget);

// Head inputs: (points + 2) × texts × hidden; point p of the result is k = p − 1. BERT: the first token's last
// hidden state (before the pooler); GPT-2: the last token's, normalised.
// Progress: tokens · layers · points.
Buffer<float> run_forward(const Model& model, const Ops& ops, const Path& path, const PackedTexts& texts,
                          const std::vector<Tile>& tiles, const ForwardPlan& plan, Threads& threads, Context& context);

}  // namespace warp
