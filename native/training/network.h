#pragma once
// A whole network in training: forward and backward pass of a batch, layer by layer, tiles of texts in parallel.
// Bits depend on the batch alone: tiles are cut from the texts, sums over tiles and tokens have a fixed order.
#include <memory>

#include "core/context.h"
#include "training/block.h"
#include "training/output.h"

namespace warp {

// Rates in [0, 1) as in a `transformers` configuration.
struct DropoutRates {
  double embedding = 0, attention = 0, hidden = 0, head = 0;
};

class Network {
 public:
  Network(const Program& program, Parameters& parameters, const DropoutRates& rates, uint64_t seed);

  // Adds to the gradients those of Σ loss · weight over the batch's texts (classifiers; logits: texts × classes) or
  // targets (language models; logits: null). Returns Σ loss. `step` numbers the dropout masks.
  double run(const Batch& batch, uint32_t step, double weight, Threads& threads, Context& context, float* logits);

 private:
  struct Run {  // of one batch
    const Batch& batch;
    const uint32_t step;
    Threads& threads;
    Context& context;
    const std::vector<RopeTable>& ropes;
  };
  std::vector<Dropout> dropout(const Flow& flow, uint32_t step) const;
  BlockMemory& saved(size_t layer) { return int(layer) >= lowest_ ? saved_[layer] : passing_; }
  Growing& input(size_t layer) { return int(layer) >= lowest_ ? inputs_[layer] : passing_input_[layer % 2]; }
  void embed(const Run& run, float* x);
  void embedding_gradients(const Run& run, float* dx);
  void scatter(const Run& run, size_t table, const float* dx);
  void forward(const Run& run, TrainedBlock& block, float* x, float* y, BlockMemory& saved);
  void backward(const Run& run, TrainedBlock& block, float* x, const float* dy, float* dx, BlockMemory& saved);
  double classify(const Run& run, float* x, double weight, float* dx, float* logits);
  OutputLayer::Tensors output_tensors();
  double predict(const Run& run, const float* x, double weight, float* dx);
  // The head's block on rows that stand alone; with dy null forward, else backward.
  void head_rows(const Run& run, size_t rows, float* x, float* y, const float* dy, float* dx);

  const Program& program_;
  Parameters& parameters_;
  const DropoutRates rates_;
  const uint64_t seed_;
  const Ops& ops_;
  const BackwardOps& backward_;
  TrainedBlock embed_;
  std::vector<std::unique_ptr<TrainedBlock>> layers_;
  TrainedBlock head_;                    // of language models what comes before the output layer
  std::unique_ptr<OutputLayer> output_;  // language models
  int lowest_ = 0;  // the first layer with something to train; −1: the embeddings; as many as layers: the head
  std::vector<BlockMemory> saved_;
  std::vector<Growing> inputs_;
  BlockMemory passing_, shared_, head_saved_, embed_saved_;
  Growing passing_input_[2], features_, picked_, closed_, d_[2], sums_;
  std::vector<Growing> scratch_;
};

}  // namespace warp
