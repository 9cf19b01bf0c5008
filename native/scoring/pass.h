#pragma once
// The forward passes of a whole path, layer-major: for a chunk of probes and a group of points, each layer is read
// once, θ_k is formed for every point in turn, and all the chunk's tiles are pushed through it; with a scope, their
// derivatives along the path too. Bits depend on the texts alone: tiles are cut before chunks, and who computes a tile
// does not matter.
#include "core/context.h"
#include "core/threads.h"
#include "graph/run.h"
#include "paths/path.h"

namespace warp {

struct PackedTexts {
  std::vector<uint32_t> ids, offsets;  // offsets: texts + 1
  std::vector<uint8_t> types;          // by token; empty: all 0
  std::vector<uint32_t> targets;       // by token, language models: the next token where it counts, else kNoTarget
  size_t texts() const { return offsets.size() - 1; }
};

// What a run will hold at its peak. Points are θ₀, the path's, θ*.
struct ForwardPlan {
  uint64_t peak_bytes = 0, smallest_bytes = 0;  // of native working memory; smallest: with the smallest chunks
  uint64_t chunks = 0, tokens = 0, tiles = 0;
  int group = 0;  // points at once
  double flops = 0;  // multiply-adds count 2
  std::vector<size_t> chunk_ends;  // tile index behind each chunk
};

// Whole texts, up to `most` tokens where one text is not longer, cut from the texts alone. What a core's cache holds
// through a layer is about 288.
std::vector<Tile> cut_tiles(const Program& program, const PackedTexts& texts, size_t most = 288);

size_t longest_text(const PackedTexts& texts);
size_t largest_tile(const std::vector<Tile>& tiles);
// Multiply-adds of all layers at one point, times 2.
double forward_flops(const Program& program, const std::vector<Tile>& tiles);

// Rows of the tables that some tiles use, and where each token's row is among them.
struct TableRows {
  std::vector<uint32_t> rows, index;
};
std::vector<TableRows> table_rows(const Program& program, const PackedTexts& texts, const Tile* begin, const Tile* end);

// Whether the sums of the tables are of another width than the layers.
inline bool apart(const Program& program) { return program.embedding != program.hidden; }

// What is made of a tile's last layer. `begin` is called before the tiles of a point, by the thread that leads.
class PassSink {
 public:
  virtual ~PassSink() = default;
  virtual void begin(int point, Threads& threads, bool first_chunk) = 0;
  // A tile behind a layer, if the sink wants to see that: a row per token, but for the last layer as in take().
  virtual bool watches() const { return false; }
  virtual void watch(size_t, int, const Tile&, const float*) {}
  // x, which stays until the next group of points: a row per token or, unless the program reads every row, per text; dx
  // null: no tangent, or zero
  virtual void take(int point, const Tile& tile, float* x, float* dx, int worker) = 0;
};

// Tensors whose direction the derivatives follow, and ‖θ* − θ_k‖² over them, by point of the path.
struct PassScope {
  ScopeNames names;
  std::vector<double> norm2;  // filled by run_pass; the head's part is added by the sink
};

struct PassArguments {
  const Program& program;
  const Ops& ops;
  const Path& path;
  const PackedTexts& texts;
  const std::vector<Tile>& tiles;
  PassScope* scope;  // null: values only
  bool base_only = false;  // point θ₀ alone: a path from a model to itself

  int passes() const { return base_only ? 1 : path.points() + 2; }
};

// The layers as they run: values alone of selected rows need no keys and values of the last one.
std::vector<Block> pass_layers(const PassArguments& arguments);

// `kept_bytes`: what the caller holds besides (results, sink); `after_bytes`: all that it will hold once the forward
// passes are done. Throws MEMORY_BUDGET, naming the smallest budget that would do, when `budget` does not.
struct PassBudget {
  int threads = 1;
  uint64_t budget = 0, kept_bytes = 0, after_bytes = 0;
};
ForwardPlan plan_pass(const PassArguments& arguments, const PassBudget& budget);

// What to throw where a budget does not do.
Error memory_budget(uint64_t smallest, uint64_t budget);

// Progress: tokens · layers · points.
void run_pass(const PassArguments& arguments, const ForwardPlan& plan, PassSink& sink, Threads& threads,
              Context& context);

// Σ (θ* − θ_k)² of what a direction holds, in a fixed order.
double norm2(const BlockPoint& direction);

// Scores −dℓ_i(θ_k)/dt along v / ‖v‖ from the losses' derivatives along v: texts × points. DIRECTION_ZERO where
// ‖v‖ = 0.
std::vector<double> scores_along(const std::vector<double>& slopes, const PassScope& scope, const Path& path);
// What to throw where λ has reached the reference in the scope.
Error direction_zero(double lambda);
// What to throw where probe i's loss is not finite.
Error loss_not_finite(size_t i);

}  // namespace warp
