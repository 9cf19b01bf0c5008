#pragma once
// Pairs of small models with random weights in any dtype, in files that go away with them, and texts for them.
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "models/model.h"
#include "paths/path.h"
#include "scoring/forward.h"
#include "temporary_weights.h"

namespace small {

using namespace warp;

inline ModelSpec spec(const std::string& kind, size_t hidden = 24, size_t heads = 2, size_t layers = 2) {
  ModelSpec s;
  s.kind = kind;
  s.hidden = hidden;
  s.heads = heads;
  s.layers = layers;
  s.intermediate = 3 * hidden + 1;
  s.vocabulary = 50;
  s.positions = 96;
  s.types = kind == "bert" ? 2 : 0;
  s.labels = 3;
  s.epsilon = 1e-5f;
  s.activation = kind == "bert" ? Activation::kGelu : Activation::kGeluTanh;
  return s;
}

// Every tensor the model and its head read, with its shape.
inline std::map<std::string, std::vector<uint64_t>> shapes(const Model& model) {
  const ModelSpec& s = model.spec;
  std::map<std::string, std::vector<uint64_t>> all;
  const EmbeddingPlan embedding = model.embedding();
  all[embedding.words] = {s.vocabulary, s.hidden};
  all[embedding.positions] = {s.positions, s.hidden};
  if (!embedding.types.empty()) all[embedding.types] = {s.types, s.hidden};
  for (const std::string& name : {embedding.gain, embedding.bias})
    if (!name.empty()) all[name] = {s.hidden};
  for (size_t i = 0; i < s.layers; i++) {
    const LayerPlan plan = model.layer(i);
    for (const LinearPlan& linear : plan.linears)
      for (const LinearPlan::Part& part : linear.parts) {
        const uint64_t stored = linear.by_inputs ? linear.stored_outputs : linear.part_outputs;
        all[part.weight] = linear.by_inputs ? std::vector<uint64_t>{linear.inputs, stored}
                                            : std::vector<uint64_t>{stored, linear.inputs};
        all[part.bias] = {stored};
      }
    for (const std::string& name : plan.vectors) all[name] = {s.hidden};
  }
  for (const std::string& name : model.final_norm()) all[name] = {s.hidden};
  const HeadPlan head = head_plan(s);
  all[head.weight] = {s.labels, s.hidden};
  if (!head.bias.empty()) all[head.bias] = {s.labels};
  if (!head.pooler_weight.empty()) {
    all[head.pooler_weight] = {s.hidden, s.hidden};
    all[head.pooler_bias] = {s.hidden};
  }
  return all;
}

// Values of seed 0 plus `moved` times those of `seed`: a fine-tuned model of seed 0's, say. Deviation .3; gains
// (1-D tensors' values) around 1.
inline std::shared_ptr<Weights> weights(const Model& model, Dtype dtype, uint64_t seed, double moved) {
  TemporaryWeights file(3);  // nothing is aligned
  for (const auto& [name, shape] : shapes(model)) {
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

inline PackedTexts texts(const ModelSpec& s, const std::vector<uint32_t>& lengths) {
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
