// BERT: embeddings + normalisation; per layer attention, then feed-forward, each followed by residual and
// normalisation (post-norm). The head reads the first token.
#include <algorithm>

#include "models/block.h"

namespace warp {
namespace {

enum { kAttentionGain, kAttentionBias, kOutputGain, kOutputBias };

class Bert : public Model {
 public:
  using Model::Model;

  EmbeddingPlan embedding() const override {
    return {"embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight",
            "embeddings.token_type_embeddings.weight", "embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"};
  }

  LayerPlan layer(size_t index) const override {
    const std::string at = "encoder.layer." + std::to_string(index) + ".";
    const auto linear = [&](std::vector<std::string> names, size_t outputs, size_t inputs) {
      LinearPlan plan;
      for (const std::string& name : names) plan.parts.push_back({at + name + ".weight", at + name + ".bias"});
      plan.part_outputs = outputs;
      plan.inputs = inputs;
      return plan;
    };
    const size_t h = spec.hidden;
    return {{linear({"attention.self.query"}, h, h), linear({"attention.self.key", "attention.self.value"}, h, h),
             linear({"attention.output.dense"}, h, h), linear({"intermediate.dense"}, spec.intermediate, h),
             linear({"output.dense"}, h, spec.intermediate)},
            {at + "attention.output.LayerNorm.weight", at + "attention.output.LayerNorm.bias",
             at + "output.LayerNorm.weight", at + "output.LayerNorm.bias"}};
  }

  std::vector<std::string> final_norm() const override { return {}; }
  size_t scratch(const Ops& ops, size_t tokens, size_t longest) const override {
    return Room::floats(ops, spec, tokens, longest);
  }

  void run(const Ops& ops, const LayerPoint& w, const TileView& tile, bool selected_only, float* x,
           float* scratch) const override {
    const size_t h = spec.hidden;
    const Room room(ops, spec, tile.tokens, scratch);
    attend(ops, spec, w, tile, selected_only, false, x, room);
    const size_t rows = selected_only ? tile.texts : tile.tokens;
    if (selected_only) keep_selected(ops, tile, h, x, room);
    for (size_t top = 0; top < rows; top += ops.block_rows()) {
      const size_t height = std::min(ops.block_rows(), rows - top);
      float *here = x + top * h, *y = room.context + top * h;
      apply(ops, w, kProjection, height, h, h, y, h, Activation::kNone, room.hidden, h, room.rest);
      ops.layer_norm(height, h, room.hidden, h, here, h, w.vectors[kAttentionGain], w.vectors[kAttentionBias],
                     spec.epsilon, here, h);
      apply(ops, w, kUp, height, spec.intermediate, h, here, h, spec.activation, room.block, spec.intermediate,
            room.rest);
      apply(ops, w, kDown, height, h, spec.intermediate, room.block, spec.intermediate, Activation::kNone, y, h,
            room.rest);
      ops.layer_norm(height, h, y, h, here, h, w.vectors[kOutputGain], w.vectors[kOutputBias], spec.epsilon, here, h);
    }
  }
};

}  // namespace

std::unique_ptr<Model> make_bert(ModelSpec spec) { return std::make_unique<Bert>(std::move(spec)); }

}  // namespace warp
