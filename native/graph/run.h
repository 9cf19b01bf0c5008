#pragma once
// The interpreter: a flow on a tile, values and, where asked for, tangents (forward-mode derivatives) beside them.
#include "graph/flow.h"
#include "graph/weights.h"
#include "ops/backward.h"
#include "ops/step.h"

namespace warp {

// Some whole texts as a backend sees them: tokens are rows, arrays lie in its memory.
struct TileView {
  size_t texts, tokens;
  const uint32_t* offsets;    // texts + 1, from 0
  const uint32_t* selected;   // the position, in each text, of the row that feeds the head
  const uint32_t* rows;       // the same row, counted from the tile's first
  const uint32_t* positions;  // by token, in its text
};

struct Tile {
  size_t first_text = 0, texts = 0;
  std::vector<uint32_t> offsets, selected, rows, positions;
  size_t tokens() const { return offsets.back(); }
  TileView view() const { return {texts, tokens(), offsets.data(), selected.data(), rows.data(), positions.data()}; }
};

// Rows that stand alone, as a tile: a text of one token each.
class RowTile {
 public:
  explicit RowTile(size_t rows);
  TileView view() const {
    return {zeros_.size(), zeros_.size(), each_.data(), zeros_.data(), each_.data(), zeros_.data()};
  }

 private:
  std::vector<uint32_t> each_, zeros_;
};

// Of a language model's texts: a token that predicts nothing.
constexpr uint32_t kNoTarget = 0xffffffffu;

// cos and sin of one rope, positions × rotary/2, in the backend's memory.
struct RopeTable {
  const float *cos = nullptr, *sin = nullptr;
};
// The values for positions 0 … count − 1, cos then sin.
Buffer<float> rope_values(const RopePlan& rope, size_t count);

// Tables for a run on the host.
class HostRopes {
 public:
  HostRopes(const Program& program, size_t positions);
  const std::vector<RopeTable>& tables() const { return tables_; }
  static uint64_t bytes(const Program& program, size_t positions);

 private:
  std::vector<Buffer<float>> held_;
  std::vector<RopeTable> tables_;
};

// What training adds to a tile: arrays of the whole batch, in which the tile has its place.
struct TrainingView {
  const GradientOps& backward;
  size_t first_token, first_text;   // the tile's, in the batch
  const uint32_t *token_text, *token_position;  // by token of the batch: number of its text in the step, position
  const uint32_t *text, *text_position;         // by text of the batch: its number, position of its selected row
  const std::vector<Dropout>& dropout;          // by action of the flow
  const std::vector<float*>& saved;             // by number: rows of the whole batch
};

// What attention keeps of texts that are made token by token. By text of the tile: token 0's row of keys, of values.
struct CacheView {
  const StepOps& ops;
  float *const *keys, *const *values;
  size_t ld;
  bool step;  // the tile has one new token a text, which sees what is kept; else whole texts from their first token on
};

struct RunArguments {
  const Ops& ops;
  const Flow& flow;
  const BlockPoint& weights;
  const std::vector<RopeTable>& ropes;
  TileView tile;
  float* input;  // tokens × width; in place: replaced by the output (its first rows when only selected rows are wanted)
  float* output;  // where the output goes when it does not take the input's place
  float* slots;  // flow.slot_floats
  float* rest;  // flow.rest_floats
  const TrainingView* training = nullptr;
  const CacheView* cache = nullptr;
};

struct TangentArguments {
  const BlockPoint* direction;  // null: no weight of this block moves
  bool moving;  // whether the input's tangent is not zero
  float* input;  // like RunArguments::input
  float* output;
  float* slots;
};

void run_flow(const RunArguments& arguments);
// Values and tangents; the flow must not be fused. Returns whether the output's tangent is not zero (else it is not
// written).
bool run_tangent(const RunArguments& arguments, const TangentArguments& tangents);

}  // namespace warp
