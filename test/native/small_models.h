#pragma once
// Pairs of small models with random weights in any dtype, in files that go away with them, and texts for them.
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "graph/program.h"
#include "paths/path.h"
#include "scoring/pass.h"
#include "temporary_weights.h"

namespace small {

using namespace warp;

struct Sizes {
  size_t hidden = 24, heads = 2, layers = 2, intermediate = 0, vocabulary = 50, positions = 96, labels = 3;
};

// A block while its steps are written down; slots are numbers.
class Steps {
 public:
  explicit Steps(size_t width) { block_.widths.push_back(uint32_t(width)); }
  Operand all(uint32_t slot) const { return {slot, 0, block_.widths[slot]}; }

  uint32_t linear(uint32_t from, std::vector<LinearPlan::Part> parts, size_t stored = 0) {
    LinearPlan plan;
    plan.parts = std::move(parts);
    plan.inputs = block_.widths[from];
    plan.turned = stored > 0;
    plan.stored_outputs = stored;
    Step s = step(StepKind::kLinear, from);
    s.linear = int(block_.weights.linears.size());
    block_.weights.linears.push_back(plan);
    return add(s, plan.outputs());
  }
  uint32_t norm(uint32_t from, const std::string& gain, const std::string& bias) {
    Step s = step(StepKind::kNorm, from);
    s.epsilon = 1e-5f;
    s.gain = vector(gain, block_.widths[from]);
    s.bias = vector(bias, block_.widths[from]);
    return add(s, block_.widths[from]);
  }
  uint32_t activate(uint32_t from, Activation activation) {
    Step s = step(StepKind::kActivate, from);
    s.activation = activation;
    return add(s, block_.widths[from]);
  }
  uint32_t sum(uint32_t a, uint32_t b) {
    Step s = step(StepKind::kAdd, a);
    s.b = all(b);
    return add(s, block_.widths[a]);
  }
  uint32_t drop(uint32_t from, const std::string& site, Rate rate = Rate::kHidden) {
    Step s = step(StepKind::kDrop, from);
    s.site = site;
    s.rate = rate;
    return add(s, block_.widths[from]);
  }
  uint32_t attention(uint32_t q, uint32_t kv, size_t heads, bool causal, const std::string& site) {
    Step s = step(StepKind::kAttention, q);
    const uint32_t width = block_.widths[q];
    s.b = {kv, 0, width};
    s.c = {kv, width, width};
    s.heads = s.kv_heads = heads;
    s.head_size = width / heads;
    s.causal = causal;
    s.scale = float(1 / std::sqrt(double(s.head_size)));
    s.site = site;
    s.rate = Rate::kAttention;
    return add(s, width);
  }
  Block done(uint32_t output) {
    block_.output = output;
    return std::move(block_);
  }

 protected:
  Step step(StepKind kind, uint32_t from) const {
    Step s;
    s.kind = kind;
    s.a = all(from);
    return s;
  }
  uint32_t add(Step s, size_t width) {
    s.to = uint32_t(block_.widths.size());
    block_.widths.push_back(uint32_t(width));
    block_.steps.push_back(std::move(s));
    return block_.steps.back().to;
  }
  int vector(const std::string& name, size_t size) {
    block_.weights.vectors.push_back({name, size});
    return int(block_.weights.vectors.size()) - 1;
  }
  Block block_;
};

inline LinearPlan::Part part(const std::string& name, size_t rows, size_t first = 0) {
  return {name + ".weight", name + ".bias", first, rows};
}

inline Block post_norm_layer(const Sizes& s, size_t index) {
  const std::string at = "encoder.layer." + std::to_string(index) + ".", n = std::to_string(index);
  Steps b(s.hidden);
  const uint32_t q = b.linear(0, {part(at + "attention.self.query", s.hidden)});
  const uint32_t kv =
      b.linear(0, {part(at + "attention.self.key", s.hidden), part(at + "attention.self.value", s.hidden)});
  const uint32_t context = b.attention(q, kv, s.heads, false, "attention " + n);
  const uint32_t projected =
      b.drop(b.linear(context, {part(at + "attention.output.dense", s.hidden)}), "projection " + n);
  const std::string one = at + "attention.output.LayerNorm.", two = at + "output.LayerNorm.";
  const uint32_t middle = b.norm(b.sum(projected, 0), one + "weight", one + "bias");
  const uint32_t up =
      b.activate(b.linear(middle, {part(at + "intermediate.dense", s.intermediate)}), Activation::kGelu);
  const uint32_t down = b.drop(b.linear(up, {part(at + "output.dense", s.hidden)}), "output " + n);
  const uint32_t y = b.norm(b.sum(down, middle), two + "weight", two + "bias");
  return b.done(y);
}

inline Block pre_norm_layer(const Sizes& s, size_t index) {
  const std::string at = "h." + std::to_string(index) + ".", n = std::to_string(index);
  const size_t h = s.hidden;
  Steps b(h);
  const uint32_t normed = b.norm(0, at + "ln_1.weight", at + "ln_1.bias");
  const uint32_t q = b.linear(normed, {part(at + "attn.c_attn", h)}, 3 * h);
  const uint32_t kv = b.linear(normed, {part(at + "attn.c_attn", h, h), part(at + "attn.c_attn", h, 2 * h)}, 3 * h);
  const uint32_t context = b.attention(q, kv, s.heads, true, "attention " + n);
  const uint32_t middle = b.sum(b.drop(b.linear(context, {part(at + "attn.c_proj", h)}, h), "projection " + n), 0);
  const uint32_t second = b.norm(middle, at + "ln_2.weight", at + "ln_2.bias");
  const uint32_t up =
      b.activate(b.linear(second, {part(at + "mlp.c_fc", s.intermediate)}, s.intermediate), Activation::kGeluTanh);
  const uint32_t y = b.sum(b.drop(b.linear(up, {part(at + "mlp.c_proj", h)}, h), "output " + n), middle);
  return b.done(y);
}

// A classifier that is built like BERT ("bert") or like GPT-2 ("gpt2").
inline Program program(const std::string& kind, Sizes s = {}) {
  const bool bert = kind == "bert";
  if (s.intermediate == 0) s.intermediate = 3 * s.hidden + 1;
  Program p;
  p.hidden = p.embedding = s.hidden;
  p.vocabulary = s.vocabulary;
  p.positions = s.positions;
  p.types = bert ? 2 : 0;
  Steps embed(s.hidden), head(s.hidden);
  if (bert) {
    p.tables = {{"embeddings.word_embeddings.weight", TableBy::kToken, s.vocabulary},
                {"embeddings.position_embeddings.weight", TableBy::kPosition, s.positions},
                {"embeddings.token_type_embeddings.weight", TableBy::kType, 2}};
    const uint32_t x = embed.norm(0, "embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias");
    p.embed = embed.done(embed.drop(x, "embedding", Rate::kEmbedding));
    const uint32_t pooled = head.activate(head.linear(0, {part("pooler.dense", s.hidden)}), Activation::kTanh);
    const uint32_t logits = head.linear(head.drop(pooled, "head", Rate::kHead), {part("classifier", s.labels)});
    p.head = head.done(logits);
  } else {
    p.tables = {{"wte.weight", TableBy::kToken, s.vocabulary}, {"wpe.weight", TableBy::kPosition, s.positions}};
    p.embed = embed.done(embed.drop(0, "embedding", Rate::kEmbedding));
    const uint32_t closed = head.norm(0, "ln_f.weight", "ln_f.bias");
    p.head = head.done(head.linear(closed, {{"score.weight", "", 0, s.labels}}));
  }
  for (size_t i = 0; i < s.layers; i++) p.layers.push_back(bert ? post_norm_layer(s, i) : pre_norm_layer(s, i));
  p.select = bert ? Select::kFirst : Select::kLast;
  finish_program(p);
  return p;
}

// Every tensor the network reads, with its shape.
inline std::map<std::string, std::vector<uint64_t>> shapes(const Program& p) {
  std::map<std::string, std::vector<uint64_t>> all;
  for (const TablePlan& table : p.tables) all[table.tensor] = {table.rows, p.embedding};
  const auto look = [&](const Block& block) {
    for (const LinearPlan& linear : block.weights.linears)
      for (const LinearPlan::Part& part : linear.parts) {
        const uint64_t stored = linear.turned ? linear.stored_outputs : part.rows;
        all[part.weight] =
            linear.turned ? std::vector<uint64_t>{linear.inputs, stored} : std::vector<uint64_t>{stored, linear.inputs};
        if (!part.bias.empty()) all[part.bias] = {stored};
      }
    for (const VectorPlan& vector : block.weights.vectors) all[vector.name] = {vector.size};
  };
  look(p.embed);
  for (const Block& layer : p.layers) look(layer);
  look(p.head);
  return all;
}

// Values of seed 0 plus `moved` times those of `seed`: a fine-tuned model of seed 0's, say. Deviation .3; gains
// (1-D tensors' values) around 1.
inline std::shared_ptr<Weights> weights(const Program& program, Dtype dtype, uint64_t seed, double moved) {
  TemporaryWeights file(3);  // nothing is aligned
  for (const auto& [name, shape] : shapes(program)) {
    const Random own(0, name), other(seed, name);
    uint64_t count = 1;
    for (uint64_t size : shape) count *= size;
    std::vector<float> values(count);
    for (size_t i = 0; i < values.size(); i++)
      values[i] = float((shape.size() == 1 ? 0.7 : 0) + 0.3 * (own.normal(i) + moved * other.normal(i)));
    file.add(name, dtype, shape, values);
  }
  return file.open();
}

inline PackedTexts texts(const Program& s, const std::vector<uint32_t>& lengths) {
  PackedTexts packed;
  packed.offsets.push_back(0);
  const Random random(7, "texts");
  for (uint32_t length : lengths) {
    for (uint32_t i = 0; i < length; i++) {
      packed.ids.push_back(random.word(packed.ids.size()) % s.vocabulary);
      if (s.types) packed.types.push_back(uint8_t(i * 2 >= length));
    }
    packed.offsets.push_back(packed.offsets.back() + length);
  }
  return packed;
}

}  // namespace small
