#pragma once
// A block made ready to run: which rows each step is wanted for, what is fused, where each slot lies. The same for
// every tile; a tile of more tokens only makes the places longer.
#include "graph/program.h"

namespace warp {

struct FlowOptions {
  bool selected = false;  // only the rows that the head reads are wanted
  bool separate = false;  // the output does not take the input's place
  bool fuse = true;  // linear + activation, add + norm: the same bits, fewer passes; not where derivatives follow
  bool training = false;  // separate, not fused; dropout is kept, and what the backward pass needs is saved
};

enum class Where { kInput, kOutput, kTile, kBlock, kSaved };
struct FlowSlot {
  uint32_t width = 0;
  bool selected = false;  // a row per selected row, else per token
  Where where = Where::kBlock;
  size_t at = 0;  // kTile: × tokens, kBlock: × rows of a block, kSaved: its number
  bool needed = false, again = false;  // training: the backward pass reads it; it is computed again there, not saved
};

struct Action {
  Step step;  // operands and `to` count FlowSlots
  bool gather = false;  // to = the selected rows of a
  bool residual = false;  // a norm of a + b
  bool passes = false;    // training, a gather that an addition reads: its gradient comes last
};

// Actions [first, end) on one set of rows. Row-local ones go block of rows by block; attention and gathers at once.
struct Piece {
  size_t first = 0, end = 0;
  bool selected = false, whole = false;
};

struct Flow {
  std::vector<FlowSlot> slots;  // slot 0 is the input
  std::vector<Action> actions;
  std::vector<Piece> pieces;
  uint32_t output = 0;
  bool in_place = true, copy_output = false;  // copy_output: the result lies elsewhere and is copied at the end
  size_t tile_floats = 0, block_floats = 0;  // a token, a row of a block
  std::vector<uint32_t> saved;  // slots, by number
  const BlockWeights* weights = nullptr;

  // Floats of scratch for a tile of so many tokens. Twice the slots (not the rest) with tangents.
  size_t slot_floats(const Ops& ops, size_t tokens) const;
  size_t rest_floats(const Ops& ops, size_t longest, bool tangents) const;
  // Outputs of a linear step at most.
  size_t widest_linear() const;
};

// `block` must outlive the flow.
Flow make_flow(const Block& block, const FlowOptions& options);

}  // namespace warp
