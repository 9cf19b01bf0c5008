#pragma once
// A language model at a point of a path, whole and ready in memory, and what it keeps of texts that are being made.
#include "core/context.h"
#include "graph/run.h"

namespace warp {

// θ_k of a whole network.
class FormedModel {
 public:
  explicit FormedModel(const Program& program) : program_(program) {}
  // Another point may be formed in the same place.
  void form(const Path& path, const Ops& ops, int k, Threads& threads, Context& context);

  const float* table(size_t i) const { return tables_[i].data(); }
  const BlockPoint& embed() const { return blocks_.front(); }
  const BlockPoint& layer(size_t i) const { return blocks_[1 + i]; }
  const BlockPoint& head() const { return blocks_.back(); }

  static uint64_t bytes(const Program& program, const Ops& ops);
  // Beside that, while it is formed.
  static uint64_t forming_bytes(const Program& program, const Path& path, int threads);

 private:
  const Program& program_;
  std::vector<Buffer<float>> tables_;
  std::vector<BlockPoint> blocks_;  // embed, layers, head
};

// Keys and values of texts, by layer. Grouped heads are kept once; a window reads the end of it.
class TextCache {
 public:
  TextCache(const Program& program, size_t slots, size_t length);
  float* keys(size_t layer, size_t slot) { return at(layer, slot); }
  float* values(size_t layer, size_t slot) { return at(layer, slot) + length_ * widths_[layer]; }
  size_t width(size_t layer) const { return widths_[layer]; }
  // Of one text.
  static uint64_t bytes(const Program& program, size_t length);

 private:
  float* at(size_t layer, size_t slot) {
    return data_.data() + 2 * length_ * (slots_ * starts_[layer] + slot * widths_[layer]);
  }

  const size_t slots_, length_;
  std::vector<size_t> widths_, starts_;
  Buffer<float> data_;
};

// New tokens of some texts.
struct TokenTile {
  Tile tile;  // positions count from each text's own start; selected: the last
  std::vector<uint32_t> ids;
  std::vector<size_t> slots;  // by text, in the cache
  void add(const uint32_t* tokens, size_t count, size_t position, size_t slot);
  bool empty() const { return ids.empty(); }
};

// The forward passes of tiles, one caller a worker.
class TileRunner {
 public:
  // Tiles of at most `tokens` tokens, texts of at most `longest`.
  TileRunner(const Program& program, const Ops& ops, const StepOps& step_ops, size_t tokens, size_t longest,
             int workers);
  // The last layer's rows: by token, hidden wide; good until the worker's next call. cache null: nothing is kept, else
  // `step`: each text's one new token sees what is kept of it.
  const float* layers(const FormedModel& model, const TokenTile& tile, TextCache* cache, bool step, int worker,
                      Context& context);
  // Logits of some of those rows; at most kRows. `which`: 0 or 1, of two models.
  const float* logits(const FormedModel& model, const float* x, const std::vector<uint32_t>& rows, int which,
                      int worker);

  static constexpr size_t kRows = 96;
  // models: 1 or 2
  static uint64_t bytes(const Program& program, const Ops& ops, size_t tokens, size_t longest, int models);

 private:
  struct Worker {
    Buffer<float> x, sums, rows, slots, rest, logits[2];
  };
  struct Sizes {
    size_t slots = 0, rest = 0;
  };
  static std::vector<Flow> make_flows(const Program& program);
  static Sizes sizes(const std::vector<Flow>& flows, const Ops& ops, size_t tokens, size_t longest);
  void embed(const FormedModel& model, const TokenTile& tile, Worker& worker);

  const Program& program_;
  const Ops& ops_;
  const StepOps& step_ops_;
  const size_t tokens_;
  const std::vector<Flow> flows_;  // embed, layers, head
  const HostRopes ropes_;
  std::vector<Worker> workers_;
};

}  // namespace warp
