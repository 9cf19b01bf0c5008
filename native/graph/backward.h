#pragma once
// Reverse mode: a block's forward pass on a batch that keeps what derivatives need, and its backward pass, the table
// of operations walked from behind. The weights' gradients are left as factors (dy, x) over the whole batch, for
// whoever wants them: training takes all of them, domains' gradients a sample.
#include "graph/gradient_plan.h"
#include "graph/run.h"

namespace warp {

// Memory that stays while it is large enough; contents are not kept when it grows.
class Growing {
 public:
  float* get(size_t count) {
    if (buffer_.size() < count) {
      buffer_ = Buffer<float>();
      buffer_ = Buffer<float>(count + count / 8);
    }
    return buffer_.data();
  }
  float* data() { return buffer_.data(); }
  size_t size() const { return buffer_.size(); }

 private:
  Buffer<float> buffer_;
};

// Rows of the whole batch, one array for each slot; `saved` stays from the forward to the backward pass, the others
// are one block's at a time.
struct BlockMemory {
  std::vector<float*> rows;
  std::vector<Growing> held;
  void fit(const std::vector<size_t>& floats);
};

// dW = dyᵀ x of one linear layer, dy and x over all rows of the batch.
struct Factor {
  const float *dy = nullptr, *x = nullptr;
  size_t lddy = 0, ldx = 0, rows = 0;
};

class BackwardBlock {
 public:
  BackwardBlock(const Block& block, bool selected, const Ops& ops, const GradientOps& backward);

  const Block& block() const { return block_; }
  const Flow& flow() const { return flow_; }
  // Floats of scratch that one thread needs for a tile of so many tokens.
  size_t scratch(size_t tokens, size_t longest) const;
  size_t sums() const { return sums_; }  // doubles: of the gains and biases, one after the other
  // Floats of each array of these.
  std::vector<size_t> saved(size_t tokens, size_t texts) const { return floats(flow_.saved, tokens, texts); }
  std::vector<size_t> shared(size_t tokens, size_t texts) const { return floats(plan_.shared, tokens, texts); }
  void fit_saved(BlockMemory& to, size_t tokens, size_t texts) const { to.fit(saved(tokens, texts)); }
  void fit_shared(BlockMemory& to, size_t tokens, size_t texts) const { to.fit(shared(tokens, texts)); }

  // Tile by tile, in any order and in parallel.
  struct Pass {
    TileView tile;
    TrainingView training;
    const std::vector<RopeTable>& ropes;
    const BlockPoint& weights;
    float* input;  // rows of the whole batch, as y
    float* scratch;
  };
  void forward(const Pass& pass, float* y) const;
  // dy → dx (null: not wanted; rows of the whole batch), factors in `shared`; sums get the vectors' gradients added.
  // turned: the weights packed for dx = dy W; by linear layer.
  void backward(const Pass& pass, const std::vector<float*>& turned, const BlockMemory& saved, BlockMemory& shared,
                const float* dy, float* dx, double* sums) const;
  // dy: of the block's output, as backward() was given it
  struct Extent {
    size_t tokens, texts;
  };
  Factor factor(size_t linear, const float* input, const BlockMemory& saved, const BlockMemory& shared, const float* dy,
                Extent extent) const;

 private:
  std::vector<size_t> floats(const std::vector<uint32_t>& slots, size_t tokens, size_t texts) const;

  const Block& block_;
  const Ops& ops_;
  const GradientOps& backward_;
  Flow flow_;
  GradientPlan plan_;
  std::vector<int> step_of_linear_;  // action of each linear layer
  std::vector<size_t> sum_at_;       // by vector
  size_t sums_ = 0;
};

}  // namespace warp
