#pragma once
// A block of the network on a GPU: its weights at a point of the path, what of their direction moves, its flows and
// room to run in. What takes room does so in the same order whether the room has memory or only counts.
#include <algorithm>

#include "graph/run.h"
#include "scoring/device_stage.h"
#include "scoring/pass.h"

namespace warp {

// What a GPU is asked for.
struct DevicePass {
  const Program& program;
  cuda::Backend& backend;
  const Path& path;
  const PackedTexts& texts;
  const ScopeNames* names = nullptr;            // tensors whose direction derivatives follow; null: values only
  const std::vector<int32_t>* label = nullptr;  // by text: classifiers with names
  // Tokens of a tile; floats that a language model's logits may take. Bits depend on both.
  size_t tile_tokens = 16384, logit_floats = size_t(1) << 26;

  bool on_path(int point) const { return point > 0 && point <= path.points(); }
  int passes() const { return path.points() + 2; }
};

// Bytes on the device that these tensors take as they are stored, at most.
size_t stage_bytes(const Path& path, const std::vector<std::string>& names);

// θ_k of a block's tensors and, of those in the scope, θ* − θ_k.
class DeviceWeights {
 public:
  // names: tensors that move; null: none
  DeviceWeights(DeviceRoom& room, const DevicePass& pass, const BlockWeights& tensors, const ScopeNames* names);
  bool moves() const { return !parts_.empty(); }
  const BlockPoint& point() const { return point_; }
  const BlockPoint* direction() const { return moves() ? &direction_ : nullptr; }

  // Queues θ_k of what is staged; at a point of the path the direction too, and with `measured` its parts' squares.
  void form(const DeviceStage& stage, int k, bool measured);
  // Adds ‖θ* − θ_k‖² of every point of the path; waits.
  void add_norms(std::vector<double>& norm2) const;

 private:
  struct Part {
    float *values, *from;  // θ* − θ_k, θ_k
    size_t count;
  };
  float* take(DeviceRoom& room, bool wanted, float* from, size_t count);
  void fill(const DeviceStage& stage, int k, const BlockPoint& to, const ScopeNames* names);

  cuda::Backend& backend_;
  const BlockWeights& tensors_;
  const ScopeNames* const names_;
  const int points_;
  BlockPoint point_, direction_;
  std::vector<Part> parts_;  // of the direction
  size_t largest_ = 0;       // elements of a part
  float* turned_;
  cuda::PairStatistics* norms_ = nullptr;  // points × parts
  char* workspace_ = nullptr;
};

// Some rows of a block's input and output, and their tangents.
struct DeviceRows {
  float *x, *out;  // out null: in the place of x
  float *dx = nullptr, *dout = nullptr;
  bool moving = false;  // whether dx is not zero
};

class DeviceBlock {
 public:
  // names: tensors that derivatives follow; null: values only. most: rows of one run
  DeviceBlock(DeviceRoom& room, const DevicePass& pass, const Block& block, FlowOptions options, size_t most,
              const ScopeNames* names);

  DeviceWeights weights;
  void run(const TileView& view, const std::vector<RopeTable>& ropes, const DeviceRows& rows);
  // Values and tangents.
  void derive(const TileView& view, const std::vector<RopeTable>& ropes, const DeviceRows& rows);
  // Whether it has nothing to do: its output is its input.
  bool empty() const { return plain_.output == 0; }

 private:
  const Ops& ops_;
  Flow plain_, derived_;  // derived: not fused, where derivatives are wanted
  float *slots_, *tangents_ = nullptr, *rest_ = nullptr;
};

// Room to measure a whole table in, a step at a time.
struct TableNorm {
  static constexpr size_t kStep = size_t(1) << 18;  // elements
  float *here, *end;
  cuda::PairStatistics* sums;
  char* workspace;
  TableNorm(DeviceRoom& room, size_t elements)
      : here(room.take<float>(std::min(kStep, elements))), end(room.take<float>(std::min(kStep, elements))),
        sums(room.take<cuda::PairStatistics>(1)),
        workspace(room.take<char>(cuda::pair_workspace(std::min(kStep, elements)))) {}
};

// The tensors of a block, read and uploaded to `memory`, stage_bytes() of it.
DeviceStage staged(const DevicePass& pass, const BlockWeights& tensors, char* memory);

}  // namespace warp
