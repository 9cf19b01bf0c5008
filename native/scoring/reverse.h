#pragma once
// Gradients by reverse mode at one point of a path: forward through all layers, back through one at a time, each
// layer's weights formed when they are needed. What is kept of the gradients is up to a sink.
#include <memory>

#include "graph/backward.h"
#include "scoring/pass.h"
#include "training/batch.h"
#include "training/output.h"

namespace warp {

// The gradients of one block for a batch, while they are there.
struct ReverseBlock {
  size_t number;  // of the layer; the head's (of language models: what comes before the output layer) is behind them
  const BackwardBlock& graph;
  const float *x, *dy;
  BackwardBlock::Extent extent;
  const std::vector<double>& sums;  // tiles × graph.sums(): of gains and biases of norms
  size_t tiles;
  const BlockMemory &saved, &shared;
  const std::vector<uint32_t>& text_of_token;  // in the batch, of the block's rows where there is one a token

  Factor factor(size_t linear) const { return graph.factor(linear, x, saved, shared, dy, extent); }
  // The text of a factor's row: a last layer of which one row a text is wanted has factors of either kind.
  uint32_t text_of(const Factor& f, uint32_t row) const {
    return f.rows == extent.texts && extent.tokens != extent.texts ? row : text_of_token[row];
  }
};

// Texts as batches are made of them. label: classifiers, else empty.
TrainingTexts reverse_texts(const PackedTexts& texts, const std::vector<int32_t>& label);

class ReverseSink {
 public:
  virtual ~ReverseSink() = default;
  // Blocks come from behind. Of the layers, those that are not below `lowest`.
  virtual void take(const ReverseBlock& block, Threads& threads) = 0;
  // Language models: some rows of the output layer, e = ∂ℓ/∂logits, with their texts in the batch and losses.
  struct Outputs {
    size_t rows;
    const float *x, *e;
    const double* loss;
    const uint32_t* text;
  };
  virtual void outputs(const Outputs&, Threads&) {}
  // Classifiers: the losses of the batch's texts.
  virtual void losses(const std::vector<double>&) {}
  // Where the job asks for them: by token of the batch, the gradient of the sum of its tables' rows.
  virtual void inputs(const float*) {}
};

struct ReverseJob {
  const Program& program;
  const Path& path;
  int point = 0;
  size_t lowest = 0;  // layer; their number: none is gone back through
  bool head = true;   // the head's own block too
  bool inputs = false;  // and through the embedding; `lowest` is 0
};

class ReversePass {
 public:
  ReversePass(const ReverseJob& job, size_t longest, Threads& threads, Context& context);
  const BackwardBlock& block(size_t number) const { return number < layers_.size() ? *layers_[number] : *head_; }
  // Gradients of the summed loss; returns that.
  double run(const Batch& batch, ReverseSink& sink);
  // Of tokens at most, in one batch: bytes of rows, of a layer's weights, of a language model's output layer.
  static uint64_t planned_bytes(const Program& program, const Path& path, size_t tokens, int threads);

 private:
  void fit_scratch(const Batch& b);
  Buffer<float> table_sums(const Batch& b);
  void embed(const Batch& b, float* x);
  void embed_back(const Batch& b, const float* dy, ReverseSink& sink);
  TrainingView view(const Batch& b, const TrainingTile& tile, const std::vector<Dropout>& none) const;
  void forward(const Batch& b, const BackwardBlock& graph, const BlockPoint& point, float* x, float* y);
  void back(const Batch& b, size_t number, const BlockPoint& point, const BlockPoint& turned, float* x, const float* dy,
            float* dx, ReverseSink& sink);
  void head_rows(size_t rows, float* x, float* y, const float* dy, float* dx, const std::vector<uint32_t>& text,
                 ReverseSink* sink);
  double head(const Batch& b, Buffer<float>& features, Buffer<float>& dy, ReverseSink& sink);
  double classify(const Batch& b, Buffer<float>& features, Buffer<float>& dy, ReverseSink& sink);
  double predict(const Batch& b, Buffer<float>& features, Buffer<float>& dy, ReverseSink& sink);
  bool goes_back() const { return job_.head || job_.lowest < layers_.size(); }

  const ReverseJob job_;
  const Program& program_;
  const Ops& ops_;
  const BackwardOps& backward_;
  Threads& threads_;
  Context& context_;
  const HostRopes ropes_;
  std::vector<std::unique_ptr<BackwardBlock>> layers_;
  std::unique_ptr<BackwardBlock> head_, embed_;
  BlockMemory saved_, shared_;
  std::vector<Growing> scratch_;
  Buffer<float> weight_, bias_;  // a language model's output layer
  std::unique_ptr<OutputLayer> output_;
};

}  // namespace warp
