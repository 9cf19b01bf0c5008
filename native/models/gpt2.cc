// GPT-2: per layer x += attention(norm(x)), x += feed-forward(norm(x)) (pre-norm, causal); a last normalisation.
// Weights are stored inputs × outputs (Conv1D). The head reads the last token that is not padding.
#include <algorithm>

#include "models/block.h"

namespace warp {
namespace {

enum { kFirstGain, kFirstBias, kSecondGain, kSecondBias };

class Gpt2 : public Model {
 public:
  using Model::Model;

  EmbeddingPlan embedding() const override { return {"wte.weight", "wpe.weight", "", "", ""}; }

  LayerPlan layer(size_t index) const override {
    const std::string at = "h." + std::to_string(index) + ".";
    const size_t h = spec.hidden;
    const auto linear = [&](const char* name, std::vector<size_t> firsts, size_t outputs, size_t inputs,
                            size_t stored) {
      LinearPlan plan;
      for (size_t first : firsts) plan.parts.push_back({at + name + ".weight", at + name + ".bias", first});
      plan.part_outputs = outputs;
      plan.inputs = inputs;
      plan.by_inputs = true;
      plan.stored_outputs = stored;
      return plan;
    };
    return {{linear("attn.c_attn", {0}, h, h, 3 * h), linear("attn.c_attn", {h, 2 * h}, h, h, 3 * h),
             linear("attn.c_proj", {0}, h, h, h), linear("mlp.c_fc", {0}, spec.intermediate, h, spec.intermediate),
             linear("mlp.c_proj", {0}, h, spec.intermediate, h)},
            {at + "ln_1.weight", at + "ln_1.bias", at + "ln_2.weight", at + "ln_2.bias"}};
  }

  std::vector<std::string> final_norm() const override { return {"ln_f.weight", "ln_f.bias"}; }
  size_t scratch(const Ops& ops, size_t tokens, size_t longest) const override {
    return Room::floats(ops, spec, tokens, longest) + tokens * spec.hidden;
  }

  void run(const Ops& ops, const LayerPoint& w, const TileView& tile, bool selected_only, float* x,
           float* scratch) const override {
    const size_t h = spec.hidden, tokens = tile.tokens;
    float* normed = scratch;
    const Room room(ops, spec, tokens, scratch + tokens * h);
    ops.layer_norm(tokens, h, x, h, nullptr, 0, w.vectors[kFirstGain], w.vectors[kFirstBias], spec.epsilon, normed, h);
    attend(ops, spec, w, tile, selected_only, true, normed, room);
    const size_t rows = selected_only ? tile.texts : tokens;
    if (selected_only) keep_selected(ops, tile, h, x, room);
    for (size_t top = 0; top < rows; top += ops.block_rows()) {
      const size_t height = std::min(ops.block_rows(), rows - top);
      float* here = x + top * h;
      apply(ops, w, kProjection, height, h, h, room.context + top * h, h, Activation::kNone, room.hidden, h, room.rest);
      ops.add(height, h, room.hidden, h, here, h);
      ops.layer_norm(height, h, here, h, nullptr, 0, w.vectors[kSecondGain], w.vectors[kSecondBias], spec.epsilon,
                     room.hidden, h);
      apply(ops, w, kUp, height, spec.intermediate, h, room.hidden, h, spec.activation, room.block, spec.intermediate,
            room.rest);
      apply(ops, w, kDown, height, h, spec.intermediate, room.block, spec.intermediate, Activation::kNone, room.hidden,
            h, room.rest);
      ops.add(height, h, room.hidden, h, here, h);
    }
  }
};

}  // namespace

std::unique_ptr<Model> make_gpt2(ModelSpec spec) { return std::make_unique<Gpt2>(std::move(spec)); }

std::unique_ptr<Model> make_model(ModelSpec spec) {
  if (spec.kind == "bert") return make_bert(std::move(spec));
  if (spec.kind == "gpt2") return make_gpt2(std::move(spec));
  throw internal_error("no forward pass for " + spec.kind);
}

HeadPlan head_plan(const ModelSpec& spec) {
  if (spec.kind == "gpt2") return {"score.weight", "", "", ""};
  return {"classifier.weight", "classifier.bias", "pooler.dense.weight", "pooler.dense.bias"};
}

}  // namespace warp
