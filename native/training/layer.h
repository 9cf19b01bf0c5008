#pragma once
// One transformer layer with its derivative, on a batch: what the forward pass keeps and what the backward pass makes
// of it. BERT (post-norm) and GPT-2 (pre-norm, causal) differ in where the normalisations stand. Rows are tokens, or,
// in the last layer, whose output only the head reads, the texts' selected rows.
#include <string>

#include "core/threads.h"
#include "models/block.h"
#include "ops/backward.h"
#include "training/batch.h"
#include "training/parameters.h"

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

 private:
  Buffer<float> buffer_;
};

// What a layer's backward pass needs of its forward pass.
struct LayerSaves {
  float *x, *q, *kv, *context, *mid, *up, *out;  // mid: after the attention, out: before the last normalisation
  Growing x_, q_, kv_, context_, mid_, up_, out_;
  void fit(const ModelSpec& spec, size_t tokens, size_t rows);
};

// What the weights' gradients are made of, for one layer at a time.
struct LayerGradients {
  float *down, *acts, *normed, *projected, *q, *kv, *input, *asking;
  Growing down_, acts_, normed_, projected_, q_, kv_, input_, asking_;
  void fit(const ModelSpec& spec, size_t tokens, size_t rows);
};

struct LayerDropout {
  Dropout attention, projection, output;
};

class TrainingLayer {
 public:
  TrainingLayer(const ModelSpec& spec, LayerPlan plan, Parameters& parameters, const Ops& ops,
                const BackwardOps& backward);

  bool trainable() const;
  // Floats of scratch that one thread needs for a tile of so many tokens.
  size_t scratch(size_t tokens, size_t longest) const;

  // θ in the layout that products want: y = x Wᵀ, or dx = dy W when `turned`.
  void pack(Threads& threads, bool turned);

  // saves.x → saves, and y: tokens × hidden, or with `selected_only` texts × hidden.
  void forward(const Batch& batch, const TrainingTile& tile, bool selected_only, const LayerDropout& dropout,
               LayerSaves& saves, float* y, float* scratch) const;
  // dy (as y) → gradients, dx (tokens × hidden; null: not wanted), sums (4 · hidden doubles: of the layer's vectors).
  // saves.up is spent.
  void backward(const Batch& batch, const TrainingTile& tile, bool selected_only, const LayerDropout& dropout,
                LayerSaves& saves, const float* dy, LayerGradients& gradients, float* dx, double* sums,
                float* scratch) const;
  // Adds the gradients of the layer's weights and biases; every element in a fixed order of rows.
  void weight_gradients(const Batch& batch, bool selected_only, const LayerSaves& saves,
                        const LayerGradients& gradients, Threads& threads);
  void vector_gradients(const double* sums);

 private:
  struct Rows {
    size_t first, count;  // of the tile's output
  };
  struct Factor {
    const float *dy, *x;
    size_t lddy, ldx, rows;
  };
  Rows rows_of(const TrainingTile& tile, bool selected_only) const;
  bool post_norm() const { return spec_.kind == "bert"; }
  const float* vector(int index) const { return vectors_[index]->value.data(); }
  void pack_part(size_t linear, size_t first, size_t count, bool turned);
  void product(int linear, size_t rows, const float* x, size_t ldx, float* y, size_t ldy, float* rest) const;
  void turned_product(int linear, size_t rows, const float* dy, size_t lddy, float* dx, size_t lddx, float* rest) const;
  void attend(const Batch& batch, const TrainingTile& tile, bool selected_only, const Dropout& dropout,
              const LayerSaves& saves, Rows rows, float* rest) const;
  void drop(const Batch& batch, const Dropout& dropout, bool selected_only, size_t row, size_t count, float* x) const;
  void feed_backward(const Batch& batch, Rows rows, bool selected_only, const LayerDropout& dropout, LayerSaves& saves,
                     const float* dy, LayerGradients& gradients, float* dmid, double* sums, float* scratch) const;
  void part_gradient(size_t linear, size_t part, size_t first, size_t count, const Factor& factor, float* scratch);

  const ModelSpec& spec_;
  const LayerPlan plan_;
  Parameters& parameters_;
  const Ops& ops_;
  const BackwardOps& backward_;
  std::vector<Parameter*> vectors_;
  std::vector<Buffer<float>> packed_, bias_;  // by linear layer
};

}  // namespace warp
