#pragma once
// A transformer as a sequence of ops on packed texts: which tensors a layer needs, and what it does to a tile of
// rows. No weights live here; scoring forms θ_k of one layer at a time and hands it in.
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "ops/ops.h"

namespace warp {

struct ModelSpec {
  std::string kind;  // "bert" | "gpt2"
  size_t hidden = 0, layers = 0, heads = 0, intermediate = 0, vocabulary = 0, positions = 0, types = 0, labels = 0;
  float epsilon = 0;
  Activation activation = Activation::kGelu;
  bool pooler = false;
  int64_t pad = -1;  // GPT-2: the head reads the last token that is not this one; −1: the last

  size_t head_size() const { return hidden / heads; }
};

// One linear layer assembled from stored tensors; its outputs are those of its parts, one after the other.
struct LinearPlan {
  struct Part {
    std::string weight, bias;
    size_t first = 0;  // by_inputs: first column of the stored weight that is used
  };
  std::vector<Part> parts;
  size_t part_outputs = 0, inputs = 0;
  bool by_inputs = false;     // stored inputs × outputs (Conv1D)
  size_t stored_outputs = 0;  // columns of the stored weight when by_inputs

  size_t outputs() const { return parts.size() * part_outputs; }
};

struct LayerPlan {
  std::vector<LinearPlan> linears;
  std::vector<std::string> vectors;  // of `hidden` elements: gains and biases of normalisations
};

// θ_k of one layer, ready to multiply with.
struct LayerPoint {
  std::vector<float*> packed, bias, vectors;  // memory of the backend
  std::vector<Buffer<float>> held;            // what they point into, where that is the host's
};

// Some whole texts as a backend sees them: tokens are rows, arrays lie in its memory.
struct TileView {
  size_t texts, tokens;
  const uint32_t* offsets;   // texts + 1, from 0
  const uint32_t* selected;  // the position, in each text, of the row that feeds the head
  const uint32_t* rows;      // the same row, counted from the tile's first
};

struct Tile {
  size_t first_text = 0, texts = 0;
  std::vector<uint32_t> offsets, selected, rows;
  size_t tokens() const { return offsets.back(); }
  TileView view() const { return {texts, tokens(), offsets.data(), selected.data(), rows.data()}; }
};

struct EmbeddingPlan {
  std::string words, positions, types;  // types empty: none
  std::string gain, bias;               // a normalisation after the sum; empty: none
};

class Model {
 public:
  virtual ~Model() = default;
  explicit Model(ModelSpec spec) : spec(std::move(spec)) {}
  const ModelSpec spec;

  virtual EmbeddingPlan embedding() const = 0;
  virtual LayerPlan layer(size_t index) const = 0;
  // A normalisation of the selected rows after the last layer (gain, bias); empty: none.
  virtual std::vector<std::string> final_norm() const = 0;

  // Floats that run() needs beside x for a tile of this many tokens.
  virtual size_t scratch(const Ops& ops, size_t tokens, size_t longest) const = 0;
  // x: tokens × hidden, replaced by the layer's output. With `selected_only` (the last layer) only each text's
  // selected row is computed, and it lies in row `text` of x.
  virtual void run(const Ops& ops, const LayerPoint& weights, const TileView& tile, bool selected_only, float* x,
                   float* scratch) const = 0;
};

std::unique_ptr<Model> make_bert(ModelSpec spec);
std::unique_ptr<Model> make_gpt2(ModelSpec spec);
std::unique_ptr<Model> make_model(ModelSpec spec);

// The head: names of its tensors. GPT-2's has no bias, BERT's has a pooler before it.
struct HeadPlan {
  std::string weight, bias, pooler_weight, pooler_bias;  // empty: none
};
HeadPlan head_plan(const ModelSpec& spec);

}  // namespace warp
