#pragma once
// attention: grouped heads, windows, caps, dropout, one query or all.
#include <algorithm>

#include "operations/case.h"

namespace operations {

struct AttentionShape {
  Indices offsets;
  size_t heads = 1, kv_heads = 1, head_size = 8;
  bool causal = false, single = false;
  size_t window = 0;
  float softcap = 0;
  double rate = 0;
};

inline Case attention_case(const AttentionShape& s) {
  const auto offsets = std::make_shared<Indices>(s.offsets), queries = std::make_shared<Indices>();
  const size_t texts = s.offsets.size() - 1, tokens = s.offsets.back(), n = s.head_size;
  size_t longest = 0;
  for (size_t t = 0; t < texts; t++) {
    const uint32_t length = s.offsets[t + 1] - s.offsets[t];
    longest = std::max<size_t>(longest, length);
    queries->push_back(length * 2 / 3);
  }
  const size_t rows = s.single ? texts : tokens, width = s.heads * n, kv_width = s.kv_heads * n;
  AttentionCall call;
  call.texts = texts;
  call.offsets = offsets->data();
  call.heads = s.heads;
  call.kv_heads = s.kv_heads;
  call.head_size = n;
  call.causal = s.causal;
  call.window = s.window;
  call.scale = float(1.3 / std::sqrt(double(n)));
  call.softcap = s.softcap;
  if (s.single) call.queries = queries->data();
  call.dropout = {{17, 4}, 9, uint32_t(s.rate * 65536)};
  call.first_text = 3;

  Case c;
  c.name = "attention " + std::to_string(texts) + " texts to " + std::to_string(longest) + ", " +
           std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) + " x " + std::to_string(n) +
           (s.causal ? " causal" : "") + (s.single ? " single" : "") +
           (s.window ? " window " + std::to_string(s.window) : "") + (s.softcap > 0 ? " cap" : "") +
           (s.rate > 0 ? " drop" : "");
  c.in = {numbers(rows * width, "q"), numbers(tokens * kv_width, "k"), numbers(tokens * kv_width, "v")};
  // A score is a running sum of n products of unit normals: n roundings of numbers of size √n, a random walk of 2⁻²⁴ n,
  // four of which bound it, times the scale; with the roundings of the exponent: e. Probabilities then err by 2 e of
  // themselves, and the output, a mean of values with both signs, by as much. Derivatives multiply probabilities by
  // scores' derivatives of size 2, twice, each with an error of its own: four times that. A gradient of k sums that
  // over a group's heads
  const double e = 4 * 6e-8 * double(n) * double(call.scale) + 3e-7;
  c.forward_error = 2 * e * (s.rate > 0 ? 1 / (1 - s.rate) : 1);
  c.tangent_error = 8 * e;
  c.backward_error = 8 * e * double(s.heads) / double(s.kv_heads);
  c.forward = [=](const Values& in) {
    return (void)offsets, (void)queries, reference::attention(call, in[0], in[1], in[2]);
  };
  c.backward = [=](const Values& in, const Doubles& dout) {
    const auto g = reference::attention_backward(call, in[0], in[1], in[2], dout);
    return Values{g.q, g.k, g.v};
  };
  if (s.rate == 0)
    c.tangent = [=](const Values& in, const Values& d) {
      return reference::attention_tangent(call, in[0], in[1], in[2], d[0], d[1], d[2]);
    };

  const auto with = [=](Run& run, const Values& in) {
    AttentionCall full = call;
    full.offsets = run.indices(*offsets);
    if (s.single) full.queries = run.indices(*queries);
    const Place q = run.put(rows, width, in[0]), k = run.put(tokens, kv_width, in[1]),
                v = run.put(tokens, kv_width, in[2]);
    full.q = q.data;
    full.k = k.data;
    full.v = v.data;
    full.ldq = q.ld;
    full.ldkv = k.ld;
    return full;
  };
  c.run = [=](Run& run, const Values& in) {
    const size_t floats = s.rate > 0 && run.backward ? run.backward->attention_scratch(longest, n)
                                                     : run.ops.attention_scratch(longest, n);
    const Place out = run.room(rows, width);
    run.ops.attention(with(run, in), out.data, out.ld, run.scratch(floats));
    return run.get(out);
  };
  if (s.rate == 0)
    c.run_tangent = [=](Run& run, const Values& in, const Values& d) {
      const Place out = run.room(rows, width), q = run.put(rows, width, d[0]);
      const Place k = run.put(tokens, kv_width, d[1]), v = run.put(tokens, kv_width, d[2]);
      run.ops.attention_tangent(with(run, in), {q.data, k.data, v.data, q.ld, k.ld, out.data, out.ld},
                                run.scratch(run.ops.attention_tangent_scratch(longest, n)));
      return run.get(out);
    };
  c.run_backward = [=](Run& run, const Values& in, const Doubles& dout) {
    const Place dy = run.put(rows, width, dout), q = run.room(rows, width);
    const Place k = run.room(tokens, kv_width), v = run.room(tokens, kv_width);
    run.backward->attention_backward(with(run, in), {dy.data, dy.ld, q.data, k.data, v.data, q.ld, k.ld},
                                     run.scratch(run.backward->attention_scratch(longest, n)));
    return Values{run.get(q), run.get(k), run.get(v)};
  };
  return c;
}

inline void add_attention(std::vector<Case>& cases) {
  const Indices few = {0, 1, 6, 9}, some = {0, 5, 6, 39, 55, 156}, two = {0, 97, 230};
  for (bool causal : {false, true})
    for (bool single : {false, true}) {
      cases.push_back(attention_case({{0}, 2, 1, 8, causal, single}));
      cases.push_back(attention_case({{0, 1}, 1, 1, 1, causal, single}));
      cases.push_back(attention_case({few, 2, 2, 3, causal, single}));
      cases.push_back(attention_case({some, 3, 3, 12, causal, single}));
      cases.push_back(attention_case({some, 6, 2, 12, causal, single}));
      cases.push_back(attention_case({two, 2, 1, 32, causal, single}));
      cases.push_back(attention_case({two, 4, 2, 16, causal, single, 40}));
      cases.push_back(attention_case({{0, 70}, 1, 1, 64, causal, single}));
      for (size_t window : {1, 2, 7, 33, 1000})
        cases.push_back(attention_case({some, 2, 1, 5, causal, single, window}));
      cases.push_back(attention_case({some, 2, 2, 20, causal, single, 0, 2.0f}));
      cases.push_back(attention_case({two, 4, 2, 8, causal, single, 17, 1.5f}));
      for (double rate : {0.1, 0.4}) {
        cases.push_back(attention_case({some, 3, 3, 12, causal, single, 0, 0, rate}));
        cases.push_back(attention_case({two, 4, 2, 8, causal, single, 40, 3.0f, rate}));
      }
      cases.push_back(attention_case({{0, 3, 20}, 4, 2, 80, causal, single, 9}));
      cases.push_back(attention_case({{0, 3, 9}, 3, 1, 130, causal, single}));
    }
}

}  // namespace operations
