// Every operation of ops/backward.h: its reference against central differences in double, and the kernels of every
// instruction set this processor has against the reference.
#include "check.h"
#include "core/random.h"
#include "ops/backward.h"
#include "ops/reference/backward.h"

using namespace warp;
using reference::Doubles;

static Doubles numbers(size_t count, const char* name, double scale = 1) {
  const Random random(7, name);
  Doubles out(count);
  for (size_t i = 0; i < count; i++) out[i] = double(float(scale * random.normal(i)));
  return out;
}
static std::vector<float> narrow(const Doubles& v) { return std::vector<float>(v.begin(), v.end()); }
static double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}

template <class Body>
static void for_each_isa(Body body) {
  int seen = 0;
  for (const char* isa : {"portable", "avx2", "avx512"})
    if (const BackwardOps* ops = find_cpu_backward_ops(isa)) {
      body(*ops);
      seen++;
    }
  CHECK(seen >= 1);
}

// d of `value`(x) for every element of x by central differences: step 1e-5 errs by 1e-10 of the third derivative and
// by 1e-16/1e-5 of the value, both below 1e-8 for values of unit size.
template <class Value>
static void check_gradient(Doubles x, const Doubles& gradient, Value value) {
  CHECK(x.size() == gradient.size());
  const double step = 1e-5;
  for (size_t i = 0; i < x.size(); i++) {
    const double at = x[i];
    x[i] = at + step;
    const double up = value(x);
    x[i] = at - step;
    const double down = value(x);
    x[i] = at;
    CHECK_NEAR((up - down) / (2 * step), gradient[i], 1e-7 * (1 + std::fabs(gradient[i])));
  }
}

TEST(slopes_are_those_of_the_activations) {
  for (Activation act :
       {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh})
    for (double x = -6.013; x < 6; x += 0.0731)
      check_gradient({x}, {reference::slope(act, x)},
                     [&](const Doubles& at) { return reference::activate(act, at[0]); });
}

TEST(outer_is_the_gradient_of_linear) {
  const size_t rows = 5, outputs = 4, inputs = 3;
  const Doubles x = numbers(rows * inputs, "x"), w = numbers(outputs * inputs, "w"), dy = numbers(rows * outputs, "dy");
  check_gradient(w, reference::outer(rows, outputs, inputs, dy, x), [&](const Doubles& at) {
    return dot(dy, reference::linear(rows, outputs, inputs, x, at, {}, Activation::kNone));
  });
}

TEST(layer_norm_gradients) {
  const size_t rows = 3, size = 7;
  const Doubles x = numbers(rows * size, "x", 2), gain = numbers(size, "g"), bias = numbers(size, "b"),
                dy = numbers(rows * size, "dy");
  const auto d = reference::layer_norm_backward(rows, size, x, gain, 1e-3, dy);
  const auto value = [&](const Doubles& x_, const Doubles& g, const Doubles& b) {
    return dot(dy, reference::layer_norm(rows, size, x_, {}, g, b, 1e-3));
  };
  check_gradient(x, d.x, [&](const Doubles& at) { return value(at, gain, bias); });
  check_gradient(gain, d.gain, [&](const Doubles& at) { return value(x, at, bias); });
  check_gradient(bias, d.bias, [&](const Doubles& at) { return value(x, gain, at); });
}

struct Attention {
  std::vector<uint32_t> offsets, queries;
  size_t heads, head_size, width, rows;
  bool causal;
  uint32_t longest = 0;
  Dropout dropout;
  Doubles q, k, v, dout;
  Attention(std::vector<uint32_t> at, size_t heads, size_t head_size, bool causal, bool single, double rate)
      : offsets(std::move(at)), heads(heads), head_size(head_size), width(heads * head_size), causal(causal) {
    for (size_t t = 0; t + 1 < offsets.size(); t++) {
      longest = std::max(longest, offsets[t + 1] - offsets[t]);
      if (single) queries.push_back((offsets[t + 1] - offsets[t]) / 2);
    }
    rows = single ? queries.size() : offsets.back();
    dropout = {{17, 4}, 9, uint32_t(rate * 65536)};
    q = numbers(rows * width, "q");
    k = numbers(offsets.back() * width, "k");
    v = numbers(offsets.back() * width, "v");
    dout = numbers(rows * width, "dout");
  }
  reference::AttentionGradients gradients(const Doubles& q_, const Doubles& k_, const Doubles& v_) const {
    return reference::attention_backward(offsets, heads, head_size, causal, queries, q_, k_, v_, dropout, 3, dout);
  }
};

TEST(attention_gradients) {
  for (bool causal : {false, true})
    for (bool single : {false, true})
      for (double rate : {0.0, 0.3}) {
        const Attention a({0, 1, 6, 9}, 2, 3, causal, single, rate);
        const auto d = a.gradients(a.q, a.k, a.v);
        if (rate == 0) {
          const Doubles plain = reference::attention(a.offsets, 2, 3, causal, a.queries, a.q, a.k, a.v);
          for (size_t i = 0; i < plain.size(); i++) CHECK_NEAR(plain[i], d.out[i], 1e-14);
        }
        check_gradient(a.q, d.q, [&](const Doubles& at) { return dot(a.dout, a.gradients(at, a.k, a.v).out); });
        check_gradient(a.k, d.k, [&](const Doubles& at) { return dot(a.dout, a.gradients(a.q, at, a.v).out); });
        check_gradient(a.v, d.v, [&](const Doubles& at) { return dot(a.dout, a.gradients(a.q, a.k, at).out); });
      }
}

TEST(outer_agrees_on_all_sizes) {
  for_each_isa([](const BackwardOps& ops) {
    for (size_t rows : {0, 1, 5, 300})
      for (size_t outputs : {1, 11, 12, 13, 40})
        for (size_t inputs : {1, 15, 16, 33, 64, 70}) {
          const size_t ldy = outputs + 3, ldx = inputs + 1, ldw = inputs + 2;
          const auto dy = numbers(rows * ldy, "dy"), x = numbers(rows * ldx, "x"), start = numbers(outputs * ldw, "w");
          Doubles dense_y, dense_x;
          for (size_t i = 0; i < rows * ldy; i++)
            if (i % ldy < outputs) dense_y.push_back(dy[i]);
          for (size_t i = 0; i < rows * ldx; i++)
            if (i % ldx < inputs) dense_x.push_back(x[i]);
          const Doubles want = reference::outer(rows, outputs, inputs, dense_y, dense_x);
          auto dw = narrow(start);
          std::vector<float> scratch(ops.outer_scratch(rows, outputs), NAN);
          ops.outer(rows, outputs, inputs, narrow(dy).data(), ldy, narrow(x).data(), ldx, dw.data(), ldw,
                    scratch.data());
          // a sum of `rows` products of unit normals in order: rows · 2⁻²⁴ · Σ|terms| / 2
          for (size_t i = 0; i < dw.size(); i++)
            CHECK_NEAR(dw[i], start[i] + (i % ldw < inputs ? want[i / ldw * inputs + i % ldw] : 0),
                       3e-8 * double(rows) * (0.7 * double(rows) + 4) + 1e-6);
        }
  });
}

TEST(rows_add_up_in_double) {
  for_each_isa([](const BackwardOps& ops) {
    const size_t rows = 40, size = 19;
    const Doubles x = numbers(rows * (size + 1), "x");
    std::vector<double> sums(size + 1, 0.5);
    ops.add_rows(rows, size, narrow(x).data(), size + 1, sums.data());
    for (size_t j = 0; j < size; j++) {
      double want = 0.5;
      for (size_t r = 0; r < rows; r++) want += x[r * (size + 1) + j];
      CHECK(sums[j] == want);
    }
    CHECK(sums[size] == 0.5);
  });
}

TEST(activations_and_slopes_agree) {
  for_each_isa([](const BackwardOps& ops) {
    for (Activation act :
         {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh}) {
      Doubles x;
      for (double v = -20; v < 20; v += 0.0137) x.push_back(double(float(v)));
      for (double v : {0.0, 1e-30, -1e-5, 9.9e-5, -1.01e-4, 1e3, -1e3}) x.push_back(double(float(v)));
      const size_t n = x.size();
      const std::vector<float> one(n, 1.0f), from = narrow(x);
      std::vector<float> y(n), dx = from;
      ops.activate(act, 1, n, from.data(), n, y.data(), n);
      ops.activate_backward(act, 1, n, dx.data(), n, one.data(), n, dx.data(), n);
      for (size_t i = 0; i < n; i++) {
        const double want = reference::activate(act, x[i]);
        CHECK_NEAR(y[i], want, 1e-6 + 5e-7 * std::fabs(want));
        // float32 functions of unit size, a few roundings each; x φ(x) adds those of an exponent of up to 20²/2 where
        // it is below e⁻²⁰⁰
        CHECK_NEAR(dx[i], reference::slope(act, x[i]), 2e-6);
      }
    }
  });
}

TEST(layer_norm_gradients_agree) {
  for_each_isa([](const BackwardOps& ops) {
    for (size_t rows : {0, 1, 4})
      for (size_t size : {2, 7, 16, 33, 384}) {
        const size_t ld = size + 3;
        const Doubles x = numbers(rows * ld, "x", 2), dy = numbers(rows * ld, "dy"), gain = numbers(size, "g");
        Doubles dense_x, dense_y;
        for (size_t i = 0; i < rows * ld; i++)
          if (i % ld < size) {
            dense_x.push_back(x[i]);
            dense_y.push_back(dy[i]);
          }
        const auto want = reference::layer_norm_backward(rows, size, dense_x, gain, 1e-5, dense_y);
        auto dx = narrow(dy);
        std::vector<double> dgain(size), dbias(size);
        ops.layer_norm_backward(rows, size, narrow(x).data(), ld, narrow(gain).data(), 1e-5f, dx.data(), ld, dx.data(),
                                ld, dgain.data(), dbias.data());
        // x̂ is of unit size (at most √size), its float32 error a few 1e-7 · its size; a row of two may be nearly
        // constant, where 1/√var (here below 100) multiplies the rounding
        for (size_t i = 0; i < dense_x.size(); i++)
          CHECK_NEAR(dx[i / size * ld + i % size], want.x[i], 2e-5 * (1 + std::fabs(want.x[i])));
        for (size_t j = 0; j < size; j++) {
          CHECK_NEAR(dgain[j], want.gain[j], 1e-5);
          CHECK_NEAR(dbias[j], want.bias[j], 1e-12);
        }
      }
  });
}

TEST(dropout_masks_are_those_of_the_reference) {
  for_each_isa([](const BackwardOps& ops) {
    for (size_t size : {1, 8, 127, 128, 129, 300}) {
      const Dropout dropout{{123, 456}, 7, 6554};
      const std::vector<uint32_t> texts = {5, 5, 6}, positions = {0, 1, 0};
      std::vector<float> x(3 * size, 2.0f);
      ops.dropout(3, size, dropout, texts.data(), positions.data(), x.data(), size);
      size_t dropped = 0;
      for (size_t r = 0; r < 3; r++) {
        const Doubles mask = reference::mask(dropout, texts[r], positions[r], size);
        for (size_t j = 0; j < size; j++) {
          CHECK_NEAR(x[r * size + j], 2 * mask[j], 1e-6);
          dropped += mask[j] == 0;
        }
      }
      // 900 draws at .1: 90 ± 9
      if (size == 300) CHECK(dropped > 45 && dropped < 135);
    }
    std::vector<float> x = {1, 2};
    const uint32_t zero = 0;
    ops.dropout(1, 2, Dropout{}, &zero, &zero, x.data(), 2);
    CHECK(x[0] == 1 && x[1] == 2);
  });
}

static void check_attention(const BackwardOps& ops, const Attention& a) {
  const size_t w = a.width, tokens = a.offsets.back(), texts = a.offsets.size() - 1, ld = w + 3;
  const auto want = a.gradients(a.q, a.k, a.v);
  const auto q = narrow(a.q), k = narrow(a.k), v = narrow(a.v), dout = narrow(a.dout);
  const uint32_t* queries = a.queries.empty() ? nullptr : a.queries.data();
  std::vector<float> out(a.rows * ld, 9), dq(a.rows * ld, 9), dk(tokens * ld, 9), dv(tokens * ld, 9);
  std::vector<float> scratch(ops.attention_scratch(a.longest, a.head_size), NAN);
  ops.attention(texts, a.offsets.data(), a.heads, a.head_size, a.causal, queries, q.data(), w, k.data(), v.data(), w,
                a.dropout, 3, out.data(), ld, scratch.data());
  std::fill(scratch.begin(), scratch.end(), NAN);
  ops.attention_backward(texts, a.offsets.data(), a.heads, a.head_size, a.causal, queries, q.data(), w, k.data(),
                         v.data(), w, a.dropout, 3, dout.data(), w, dq.data(), ld, dk.data(), dv.data(), ld,
                         scratch.data());
  const auto near = [&](const std::vector<float>& got, const Doubles& expected) {
    // probabilities to 1e-6 of themselves; sums over a text of products of unit normals with them
    for (size_t i = 0; i < expected.size(); i++) CHECK_NEAR(got[i / w * ld + i % w], expected[i], 3e-5);
    for (size_t i = 0; i < got.size(); i++)
      if (i % ld >= w) CHECK(got[i] == 9);
  };
  near(out, want.out);
  near(dq, want.q);
  near(dk, want.k);
  near(dv, want.v);
}

TEST(attention_gradients_agree) {
  for_each_isa([](const BackwardOps& ops) {
    for (bool causal : {false, true})
      for (bool single : {false, true})
        for (double rate : {0.0, 0.1}) {
          check_attention(ops, Attention({0}, 2, 8, causal, single, rate));
          check_attention(ops, Attention({0, 1}, 1, 1, causal, single, rate));
          check_attention(ops, Attention({0, 5, 6, 39, 55, 156}, 3, 12, causal, single, rate));
          check_attention(ops, Attention({0, 97, 230}, 2, 32, causal, single, rate));
          check_attention(ops, Attention({0, 70}, 1, 64, causal, single, rate));
        }
  });
}

TEST(adam_steps_are_those_of_the_formulas) {
  for_each_isa([](const BackwardOps& ops) {
    const size_t n = 37;
    const Doubles g = numbers(n, "g"), p0 = numbers(n, "p"), m0 = numbers(n, "m", .1);
    for (bool decoupled : {false, true})
      for (bool still : {false, true}) {
        auto p = narrow(p0), m = narrow(m0);
        std::vector<float> v(n, 0.04f), gradient = narrow(g);
        const BackwardOps::Update u = {
            1e-2f, .9f, .999f, 1e-8f, .1f, .5f, 1 - .9f * .9f, std::sqrt(1 - .999f * .999f), decoupled};
        ops.update(n, u, still ? nullptr : gradient.data(), p.data(), m.data(), v.data());
        for (size_t i = 0; i < n; i++) {
          const double d = (still ? 0 : g[i] * .5) + (decoupled ? 0 : .1 * p0[i]);
          const double first = m0[i] + (d - m0[i]) * (1 - double(u.beta1)),
                       second = .04 * double(u.beta2) + d * d * (1 - double(u.beta2));
          const double want = p0[i] * (decoupled ? 1 - 1e-3 : 1) -
                              1e-2 / double(u.correction1) * first / (std::sqrt(second) / double(u.correction2) + 1e-8);
          CHECK_NEAR(m[i], first, 1e-7);
          CHECK_NEAR(v[i], second, 1e-7);
          CHECK_NEAR(p[i], want, 3e-7 * (1 + std::fabs(want)));
        }
      }
  });
}

TEST_MAIN
