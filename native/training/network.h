#pragma once
// A whole classifier in training: forward and backward pass of a batch, layer by layer, tiles of texts in parallel.
// Bits depend on the batch alone: tiles are cut from the texts, sums over tiles and tokens have a fixed order.
#include <memory>

#include "core/context.h"
#include "training/head.h"

namespace warp {

// Rates in [0, 1) as in a `transformers` configuration.
struct DropoutRates {
  double embedding = 0, attention = 0, hidden = 0, head = 0;
};

class Network {
 public:
  Network(const Model& model, Parameters& parameters, const DropoutRates& rates, uint64_t seed);

  // Adds to the gradients those of Σ loss · weight over the batch's texts; logits: texts × labels. Returns Σ loss.
  // `step` numbers the dropout masks.
  double run(const Batch& batch, uint32_t step, double weight, Threads& threads, Context& context, float* logits);

 private:
  Dropout dropout(const std::string& site, double rate, uint32_t step) const;
  LayerDropout layer_dropout(size_t layer, uint32_t step) const;
  LayerSaves& saves(size_t layer) { return int(layer) >= lowest_ ? saves_[layer] : passing_[layer % 2]; }
  bool last(size_t layer) const { return layer + 1 == layers_.size(); }
  void embed(const Batch& batch, uint32_t step, Threads& threads, float* x);
  void embedding_gradients(const Batch& batch, uint32_t step, Threads& threads, float* dx);
  void scatter(Parameter& table, const std::vector<uint32_t>& index, int64_t skip, const float* dx, Threads& threads);
  void backward_layer(const Batch& batch, size_t layer, uint32_t step, const float* dy, float* dx, Threads& threads,
                      Context& context);

  const Model& model_;
  const ModelSpec& spec_;
  Parameters& parameters_;
  const DropoutRates rates_;
  const uint64_t seed_;
  const Ops& ops_;
  const BackwardOps& backward_;
  std::vector<std::unique_ptr<TrainingLayer>> layers_;
  TrainingHead head_;
  int lowest_ = 0;  // the first layer with something to train; −1: the embeddings; as many as layers: the head
  std::vector<LayerSaves> saves_;
  LayerSaves passing_[2];
  LayerGradients gradients_;
  std::vector<Growing> scratch_;
  Growing embedded_, features_, d_[2];
};

}  // namespace warp
