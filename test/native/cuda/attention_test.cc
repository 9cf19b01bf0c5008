// attention.cu against ops/reference: head sizes around the kernels' paddings, texts around their tiles.
#include <numeric>

#include "on_device.h"
#include "ops/cuda/kernels.h"
#include "ops/reference/reference.h"

using namespace warp;
using namespace device;
using reference::Doubles;

static void check_attention(const std::vector<uint32_t>& lengths, size_t heads, size_t head_size, bool causal, bool one,
                            double scale) {
  std::vector<uint32_t> offsets(1, 0), queries;
  size_t longest = 0;
  for (uint32_t length : lengths) {
    offsets.push_back(offsets.back() + length);
    queries.push_back(length ? length * 2 / 3 % length : 0);
    longest = std::max<size_t>(longest, length);
  }
  const size_t tokens = offsets.back(), texts = lengths.size(), width = heads * head_size;
  const size_t ldq = width + 1, ldkv = 2 * width + 3, ldo = width + 2, asking = one ? texts : tokens;
  const auto q = numbers(asking * width, "q", scale), k = numbers(tokens * width, "k", scale),
             v = numbers(tokens * width, "v");
  std::vector<float> kv(tokens * ldkv, NAN);
  for (size_t t = 0; t < tokens; t++)
    for (size_t j = 0; j < width; j++) {
      kv[t * ldkv + j] = k[t * width + j];
      kv[t * ldkv + width + j] = v[t * width + j];
    }
  const Held<float> held_q(framed(asking, width, ldq, q)), held_kv(kv);
  const Held<uint32_t> held_offsets(offsets), held_queries(queries);
  auto out = twice([&] {
    const Held<float> y(framed(asking, ldo));
    cuda::attention(texts, longest, held_offsets.data(), heads, head_size, causal, one ? held_queries.data() : nullptr,
                    held_q.data(), ldq, held_kv.data(), held_kv.data() + width, ldkv, y.data(), ldo, stream());
    return y.get();
  });
  Doubles expected = reference::attention(offsets, heads, head_size, causal, one ? queries : std::vector<uint32_t>(),
                                          wide(q), wide(k), wide(v));
  std::vector<float> dense(asking * width);
  for (size_t i = 0; i < out.size(); i++) {
    const size_t row = i / ldo, column = i % ldo;
    const bool inside = row < asking && column < width;
    // a text of no tokens has nothing to attend to: its row stays as it was
    if (!inside || (one && lengths[row] == 0)) CHECK(out[i] == kSentinel);
    else dense[row * width + column] = out[i];
  }
  for (size_t t = 0; one && t < texts; t++)
    if (lengths[t] == 0)
      for (size_t j = 0; j < width; j++) expected[t * width + j] = 0;
  // a score of |s| ≲ scale² · 4√d / √d is off by about d roundings of 2^-24, and so e^s by that fraction; |v| < 5
  check_near(dense, expected, 5 * (1e-6 + 6e-8 * double(head_size) * scale * scale * 4),
             "attention, head size " + std::to_string(head_size) + (causal ? ", causal" : "") + (one ? ", one" : ""));
}

TEST(attention_agrees) {
  const std::vector<uint32_t> lengths = {5, 0, 1, 33, 31, 32, 64, 7};
  for (size_t head_size : {1, 8, 31, 32, 33, 64, 80, 128, 160, 256})
    for (bool causal : {false, true})
      for (bool one : {false, true}) check_attention(lengths, head_size > 64 ? 1 : 2, head_size, causal, one, 1);
}

TEST(attention_takes_long_texts_and_large_scores) {
  for (bool causal : {false, true})
    for (bool one : {false, true}) {
      check_attention({260, 3}, 2, 8, causal, one, 1);    // several tiles of keys, several blocks of queries
      check_attention({130}, 1, 64, causal, one, 3);      // sharp: the largest score moves from tile to tile
      check_attention({0, 0}, 1, 32, causal, one, 1);
    }
}

TEST(too_large_heads_are_refused) {
  try {
    cuda::attention(1, 1, nullptr, 1, 257, false, nullptr, nullptr, 257, nullptr, nullptr, 257, nullptr, 257, stream());
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.kind == Kind::kInternal);
  }
}

TEST_MAIN
