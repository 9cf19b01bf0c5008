// Every CPU operation, of every instruction set this processor has, against ops/reference: odd sizes, 0, 1, tails,
// NaN-filled scratch, sentinels around outputs.
#include "check.h"
#include "core/random.h"
#include "ops/ops.h"
#include "ops/reference/reference.h"

using namespace warp;
using reference::Doubles;

static const float kSentinel = 12345.5f;

static std::vector<float> numbers(size_t count, const char* name, double scale = 1) {
  const Random random(1, name);
  std::vector<float> out(count);
  for (size_t i = 0; i < count; i++) out[i] = float(scale * random.normal(i));
  return out;
}
static Doubles wide(const std::vector<float>& v) { return Doubles(v.begin(), v.end()); }
static std::vector<float> scratch(size_t count) { return std::vector<float>(count, NAN); }

// rows × width inside rows × ld, sentinels in the gaps and behind
static std::vector<float> framed(size_t rows, size_t ld) { return std::vector<float>(rows * ld + 8, kSentinel); }
static void check_frame(const std::vector<float>& y, size_t rows, size_t width, size_t ld) {
  for (size_t i = 0; i < y.size(); i++)
    if (i >= rows * ld || i % ld >= width) CHECK(y[i] == kSentinel);
}

template <class Body>
static void for_each_isa(Body body) {
  int seen = 0;
  for (const char* isa : {"portable", "avx2", "avx512"})
    if (const Ops* ops = find_cpu_ops(isa)) {
      body(*ops);
      seen++;
    }
  CHECK(seen >= 1);
}

static void check_linear(const Ops& ops, size_t rows, size_t outputs, size_t inputs, Activation act, bool with_bias,
                         bool by_inputs) {
  const auto x = numbers(rows * (inputs + 3), "x"), w = numbers(outputs * inputs, "w"), bias = numbers(outputs, "b");
  std::vector<float> packed(ops.packed_size(outputs, inputs), NAN), dense(rows * inputs);
  for (size_t r = 0; r < rows; r++)
    for (size_t k = 0; k < inputs; k++) dense[r * inputs + k] = x[r * (inputs + 3) + k];
  if (by_inputs) {
    std::vector<float> turned(w.size());
    for (size_t j = 0; j < outputs; j++)
      for (size_t k = 0; k < inputs; k++) turned[k * outputs + j] = w[j * inputs + k];
    const size_t half = inputs / 2;
    ops.pack_inputs(outputs, inputs, half, inputs - half, turned.data() + half * outputs, outputs, packed.data());
    ops.pack_inputs(outputs, inputs, 0, half, turned.data(), outputs, packed.data());
  } else {
    for (size_t first = 0; first < outputs; first += ops.panel())
      ops.pack_outputs(outputs, inputs, first, std::min(ops.panel(), outputs - first), w.data() + first * inputs,
                       inputs, packed.data());
  }
  auto y = framed(rows, outputs + 5), space = scratch(ops.linear_scratch(inputs));
  ops.linear(rows, outputs, inputs, x.data(), inputs + 3, packed.data(), with_bias ? bias.data() : nullptr, act,
             y.data(), outputs + 5, space.data());
  check_frame(y, rows, outputs, outputs + 5);
  const Doubles plain = reference::linear(rows, outputs, inputs, wide(dense), wide(w),
                                          with_bias ? wide(bias) : Doubles(), Activation::kNone);
  // a sum of n products of unit normals: |error| ≤ n · 2⁻²⁴ · Σ|xw|, Σ|xw| ≈ .64 n; the activations are Lipschitz
  // with constant < 1.13 and add at most 4 units of a result of size |plain|
  const double bound = 6e-8 * double(inputs + 1) * (0.7 * double(inputs) + 4) + 5e-7;
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < outputs; j++) {
      const double p = plain[r * outputs + j];
      CHECK_NEAR(y[r * (outputs + 5) + j], reference::activate(act, p), bound + 5e-7 * std::fabs(p));
    }
}

TEST(linear_agrees_on_all_sizes) {
  for_each_isa([](const Ops& ops) {
    for (size_t rows : {0, 1, 5, 12, 13, 97, 200})
      for (size_t outputs : {1, 15, 16, 32, 33, 70})
        check_linear(ops, rows, outputs, 37, Activation::kNone, true, false);
    for (size_t inputs : {1, 2, 64, 1537, 5000})
      for (bool turned : {false, true}) check_linear(ops, 29, 40, inputs, Activation::kNone, false, turned);
    for (Activation act : {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh})
      check_linear(ops, 17, 45, 20, act, true, true);
  });
}

TEST(activations_are_accurate_over_the_whole_range) {
  for_each_isa([](const Ops& ops) {
    for (Activation act : {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh}) {
      std::vector<float> x, one = {1.0f};
      for (double v = -30; v < 30; v += 0.0137) x.push_back(float(v));
      for (float v : {0.0f, -0.0f, 1e-30f, -1e-30f, 1e4f, -1e4f, 0.125f, 0.1249999f}) x.push_back(v);
      std::vector<float> y(x.size()), packed(ops.packed_size(1, 1)), space(ops.linear_scratch(1));
      ops.pack_outputs(1, 1, 0, 1, one.data(), 1, packed.data());
      ops.linear(x.size(), 1, 1, x.data(), 1, packed.data(), nullptr, act, y.data(), 1, space.data());
      for (size_t i = 0; i < x.size(); i++)  // 8 units of the larger of argument and result, at most 1.2e-7 each
        CHECK_NEAR(y[i], reference::activate(act, x[i]),
                   1e-6 * std::max(1e-3, std::min(1.0, std::fabs(double(x[i])))) +
                       5e-7 * std::fabs(reference::activate(act, x[i])));
    }
  });
}

TEST(a_row_does_not_depend_on_its_neighbours) {
  for_each_isa([](const Ops& ops) {
    const size_t rows = 101, outputs = 50, inputs = 300;
    const auto x = numbers(rows * inputs, "x"), w = numbers(outputs * inputs, "w");
    std::vector<float> packed(ops.packed_size(outputs, inputs)), all(rows * outputs), some(rows * outputs);
    std::vector<float> space = scratch(ops.linear_scratch(inputs));
    ops.pack_outputs(outputs, inputs, 0, outputs, w.data(), inputs, packed.data());
    ops.linear(rows, outputs, inputs, x.data(), inputs, packed.data(), nullptr, Activation::kGelu, all.data(), outputs,
               space.data());
    for (size_t top = 0, step = 1; top < rows; top += step, step = step % 17 + 1)
      ops.linear(std::min(step, rows - top), outputs, inputs, x.data() + top * inputs, inputs, packed.data(), nullptr,
                 Activation::kGelu, some.data() + top * outputs, outputs, space.data());
    CHECK(all == some);
  });
}

TEST(layer_norm_agrees) {
  for_each_isa([](const Ops& ops) {
    for (size_t rows : {0, 1, 3})
      for (size_t size : {1, 7, 16, 33, 384})
        for (bool residual : {false, true}) {
          const size_t ld = size + 2;
          const auto x = numbers(rows * ld, "x", 3), r = numbers(rows * ld, "r"), gain = numbers(size, "g"),
                     bias = numbers(size, "b");
          Doubles dense_x, dense_r;
          for (size_t i = 0; i < rows * ld; i++)
            if (i % ld < size) {
              dense_x.push_back(x[i]);
              dense_r.push_back(r[i]);
            }
          auto y = framed(rows, ld);
          ops.layer_norm(rows, size, x.data(), ld, residual ? r.data() : nullptr, ld, gain.data(), bias.data(), 1e-5f,
                         y.data(), ld);
          check_frame(y, rows, size, ld);
          const Doubles want =
              reference::layer_norm(rows, size, dense_x, residual ? dense_r : Doubles(), wide(gain), wide(bias), 1e-5);
          // a row of one cancels to the bias exactly; else a few roundings of a normalised value, amplified when a
          // small row's variance is below its mean's rounding: values here stay of unit size
          for (size_t i = 0; i < want.size(); i++)
            CHECK_NEAR(y[i / size * ld + i % size], want[i], 4e-6 * (1 + std::fabs(want[i])));
        }
  });
}

TEST(layer_norm_works_in_place_and_far_from_zero) {
  for_each_isa([](const Ops& ops) {
    std::vector<float> x = numbers(50, "x"), gain(50, 1.0f), bias(50, 0.0f);
    for (float& v : x) v += 1000;
    const Doubles want = reference::layer_norm(1, 50, wide(x), {}, wide(gain), wide(bias), 1e-12);
    ops.layer_norm(1, 50, x.data(), 50, nullptr, 0, gain.data(), bias.data(), 1e-12f, x.data(), 50);
    // the subtraction of a mean rounded to float32 (6e-5 at 1000) is the error
    for (size_t i = 0; i < 50; i++) CHECK_NEAR(x[i], want[i], 1e-4);
  });
}

TEST(add_and_embed_agree) {
  for_each_isa([](const Ops& ops) {
    const size_t size = 19;
    const auto a = numbers(5 * size, "a"), b = numbers(3 * size, "b");
    const std::vector<uint32_t> ia = {4, 0, 3, 3}, ib = {2, 2, 0, 1};
    const float* tables[] = {a.data(), b.data()};
    const uint32_t* index[] = {ia.data(), ib.data()};
    auto y = framed(4, size + 1);
    ops.embed(4, size, 2, tables, index, y.data(), size + 1);
    check_frame(y, 4, size, size + 1);
    const Doubles want = reference::embed(size, {wide(a), wide(b)}, {ia, ib});
    for (size_t i = 0; i < want.size(); i++) CHECK_NEAR(y[i / size * (size + 1) + i % size], want[i], 1e-6);
    auto before = y;
    ops.add(4, size, a.data(), size, y.data(), size + 1);
    check_frame(y, 4, size, size + 1);
    for (size_t i = 0; i < 4 * size; i++) {
      const size_t at = i / size * (size + 1) + i % size;
      CHECK(y[at] == before[at] + a[i]);
    }
    ops.embed(0, size, 2, tables, index, y.data(), size + 1);
  });
}

static void check_attention(const Ops& ops, const std::vector<uint32_t>& offsets, size_t heads, size_t head_size,
                            bool causal, bool single) {
  const size_t width = heads * head_size, tokens = offsets.back(), texts = offsets.size() - 1;
  std::vector<uint32_t> queries;
  uint32_t longest = 0;
  for (size_t t = 0; t < texts; t++) {
    longest = std::max(longest, offsets[t + 1] - offsets[t]);
    if (single) queries.push_back((offsets[t + 1] - offsets[t]) / 2);
  }
  const size_t rows = single ? texts : tokens;
  const auto q = numbers(rows * width, "q", 2), k = numbers(tokens * width, "k", 2), v = numbers(tokens * width, "v");
  auto y = framed(rows, width + 3), space = scratch(ops.attention_scratch(longest, head_size));
  ops.attention(texts, offsets.data(), heads, head_size, causal, single ? queries.data() : nullptr, q.data(), width,
                k.data(), v.data(), width, y.data(), width + 3, space.data());
  check_frame(y, rows, width, width + 3);
  const Doubles want = reference::attention(offsets, heads, head_size, causal, queries, wide(q), wide(k), wide(v));
  // scores up to about 20·√head_size before scaling: their float32 error (1e-6 relative to the terms) enters the
  // exponent; values are of unit size
  for (size_t i = 0; i < want.size(); i++) CHECK_NEAR(y[i / width * (width + 3) + i % width], want[i], 3e-5);
}

TEST(gather_picks_rows) {
  for_each_isa([](const Ops& ops) {
    for (size_t size : {1, 17, 64}) {
      const size_t rows = 5, ldx = size + 2, ldy = size + 3;
      const auto x = numbers(9 * ldx, "x");
      const std::vector<uint32_t> index = {3, 0, 8, 8, 4};
      for (const uint32_t* rows_of : {index.data(), static_cast<const uint32_t*>(nullptr)}) {
        auto y = framed(rows, ldy);
        ops.gather(rows, size, x.data(), ldx, rows_of, y.data(), ldy);
        for (size_t i = 0; i < rows; i++)
          for (size_t j = 0; j < size; j++) CHECK(y[i * ldy + j] == x[(rows_of ? index[i] : i) * ldx + j]);
        check_frame(y, rows, size, ldy);
      }
      ops.gather(0, size, nullptr, ldx, nullptr, nullptr, ldy);
    }
  });
}

TEST(attention_agrees) {
  for_each_isa([](const Ops& ops) {
    for (bool causal : {false, true})
      for (bool single : {false, true}) {
        check_attention(ops, {0}, 2, 8, causal, single);
        check_attention(ops, {0, 1}, 1, 1, causal, single);
        check_attention(ops, {0, 5, 6, 39, 55, 156}, 3, 12, causal, single);
        check_attention(ops, {0, 97, 300}, 2, 32, causal, single);
        check_attention(ops, {0, 70}, 1, 64, causal, single);
      }
  });
}

TEST_MAIN
