#pragma once
// Small language models: like GPT-2, its output layer tied to its table ("gpt2"); decoders with rotations, grouped
// keys, gates and norms by head, with caps, windows, scaled embeddings and a tied output layer ("capped"), or with
// none of these ("plain").
#include "small_models.h"

namespace small {

class DecoderSteps : public Steps {
 public:
  DecoderSteps(const Sizes& s, bool capped) : Steps(s.hidden), capped_(capped), head_(s.hidden / s.heads) {}
  // A group of queries to each.
  static size_t key_heads(const Sizes& s) { return s.heads / (s.heads % 3 == 0 ? 3 : 2); }
  static size_t rotary(const Sizes& s) { return s.hidden / s.heads / 4 * 4; }

  uint32_t product(uint32_t from, const std::string& name, size_t rows) {
    return linear(from, {{name + ".weight", "", 0, rows}});
  }
  uint32_t rms(uint32_t from, const std::string& name, size_t groups = 1) {
    Step s = step(StepKind::kNorm, from);
    s.center = false;
    s.epsilon = 1e-5f;
    s.offset = capped_ ? 1.0f : 0.0f;
    s.groups = groups;
    s.gain = vector(name + ".weight", s.a.width / groups);
    return add(s, s.a.width);
  }
  uint32_t rope(uint32_t from) {
    Step s = step(StepKind::kRope, from);
    s.head_size = head_;
    s.rotary = head_ / 4 * 4;
    s.rope = 0;
    return add(s, s.a.width);
  }
  uint32_t attend(uint32_t q, uint32_t k, uint32_t v) {
    Step s = step(StepKind::kAttention, q);
    s.b = all(k);
    s.c = all(v);
    s.heads = s.a.width / head_;
    s.kv_heads = s.b.width / head_;
    s.head_size = head_;
    s.causal = true;
    s.scale = float(1 / std::sqrt(double(head_)));
    if (capped_) s.softcap = 5;
    if (capped_) s.window = 7;
    return add(s, s.a.width);
  }
  uint32_t multiply(uint32_t a, uint32_t b) {
    Step s = step(StepKind::kMultiply, a);
    s.b = all(b);
    return add(s, s.a.width);
  }
  uint32_t softcap(uint32_t from, float cap) {
    Step s = step(StepKind::kSoftcap, from);
    s.softcap = cap;
    return add(s, s.a.width);
  }

 private:
  const bool capped_;
  const size_t head_;
};

inline Block decoder_layer(const Sizes& s, size_t index, bool capped) {
  const std::string at = "layers." + std::to_string(index) + ".";
  const size_t key_heads = DecoderSteps::key_heads(s), keys = key_heads * (s.hidden / s.heads);
  DecoderSteps b(s, capped);
  const uint32_t normed = b.rms(0, at + "input_norm");
  const uint32_t q = b.product(normed, at + "q", s.hidden), k = b.product(normed, at + "k", keys),
                 v = b.product(normed, at + "v", keys);
  const uint32_t queries = b.rope(b.rms(q, at + "q_norm", s.heads)),
                 turned = b.rope(b.rms(k, at + "k_norm", key_heads));
  const uint32_t middle = b.sum(b.product(b.attend(queries, turned, v), at + "o", s.hidden), 0);
  const uint32_t second = b.rms(middle, at + "post_norm");
  const uint32_t gate =
      b.activate(b.product(second, at + "gate", s.intermediate), capped ? Activation::kGeluTanh : Activation::kSilu);
  const uint32_t inner = b.multiply(gate, b.product(second, at + "up", s.intermediate));
  return b.done(b.sum(b.product(inner, at + "down", s.hidden), middle));
}

inline Program language_program(const std::string& kind, Sizes s = {24, 4}) {
  if (s.intermediate == 0) s.intermediate = 3 * s.hidden + 1;
  Program p;
  if (kind == "gpt2") {
    p = program(kind, s);
    Steps head(s.hidden);
    p.head = head.done(head.linear(head.norm(0, "ln_f.weight", "ln_f.bias"), {{"wte.weight", "", 0, s.vocabulary}}));
  } else {
    const bool capped = kind == "capped";
    p.hidden = p.embedding = s.hidden;
    p.vocabulary = s.vocabulary;
    p.positions = s.positions;
    p.tables = {{"embed.weight", TableBy::kToken, s.vocabulary}};
    if (capped) p.tables[0].factor = 1.7f;
    p.embed = Steps(s.hidden).done(0);
    RopePlan rope{DecoderSteps::rotary(s), {}};
    for (size_t i = 0; i < rope.rotary / 2; i++)
      rope.frequency.push_back(std::pow(10000.0, -2.0 * double(i) / double(rope.rotary)));
    p.ropes = {rope};
    for (size_t i = 0; i < s.layers; i++) p.layers.push_back(decoder_layer(s, i, capped));
    DecoderSteps head(s, capped);
    const uint32_t logits = head.product(head.rms(0, "norm"), capped ? "embed" : "lm_head", s.vocabulary);
    p.head = head.done(capped ? head.softcap(logits, 3) : logits);
  }
  p.language = true;
  p.select = Select::kAll;
  finish_program(p);
  return p;
}

// Texts whose tokens have targets: the next one, but for a few and those of every fifth text.
inline PackedTexts language_texts(const Program& program, const std::vector<uint32_t>& lengths) {
  PackedTexts packed = texts(program, lengths);
  packed.targets.assign(packed.ids.size(), kNoTarget);
  for (size_t t = 0; t < lengths.size(); t++)
    for (uint32_t i = packed.offsets[t]; i + 1 < packed.offsets[t + 1]; i++)
      if (t % 5 != 4 && i % 7 != 3) packed.targets[i] = packed.ids[i + 1];
  return packed;
}

}  // namespace small
