// Every operation of operations/ on every instruction set this processor has.
#include "operations/attention.h"
#include "operations/norm.h"
#include "operations/rows.h"

using namespace operations;

static std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_norms(cases);
  add_attention(cases);
  add_rows(cases);
  return cases;
}

TEST(reference_derivatives_are_those_of_the_reference) {
  for (const Case& c : all_cases()) check_reference(c);
}

template <class Body>
static void for_each_isa(Body body) {
  int seen = 0;
  for (const char* isa : {"portable", "avx2", "avx512"})
    if (const Ops* ops = find_cpu_ops(isa)) {
      body(*ops, *find_cpu_backward_ops(isa));
      seen++;
    }
  CHECK(seen >= 1);
}

TEST(kernels_agree_with_the_reference) {
  const std::vector<Case> cases = all_cases();
  for_each_isa([&](const Ops& ops, const BackwardOps& backward) {
    for (const Case& c : cases) check_backend(c, ops, &backward, [] { return std::make_unique<HostMemory>(); });
  });
}

static std::vector<float> narrow(const Doubles& v) { return std::vector<float>(v.begin(), v.end()); }

// One text of `length`, seen whole, by query, and behind other texts.
struct Split {
  size_t length = 210, heads = 4, n = 24, width = heads * n, kv_width = width / 2;
  std::vector<float> q = narrow(numbers(length * width, "q")), k = narrow(numbers(length * kv_width, "k"));
  std::vector<float> v = narrow(numbers(length * kv_width, "v"));
  std::vector<uint32_t> offsets = {0, uint32_t(length)};
  AttentionCall call(bool causal, size_t window) const {
    AttentionCall c;
    c.texts = 1;
    c.offsets = offsets.data();
    c.heads = heads;
    c.kv_heads = 2;
    c.head_size = n;
    c.causal = causal;
    c.window = window;
    c.scale = 0.3f;
    c.q = q.data();
    c.k = k.data();
    c.v = v.data();
    c.ldq = width;
    c.ldkv = kv_width;
    return c;
  }
};

TEST(a_query_alone_gives_the_bits_of_all_queries) {
  const Split s;
  for_each_isa([&](const Ops& ops, const BackwardOps&) {
    std::vector<float> scratch(ops.attention_scratch(s.length, s.n)),
        other(ops.attention_tangent_scratch(s.length, s.n));
    for (bool causal : {false, true})
      for (size_t window : {0, 1, 50}) {
        std::vector<float> all(s.length * s.width), tangent(all.size()), one(s.width), one_tangent(s.width);
        AttentionCall c = s.call(causal, window);
        ops.attention(c, all.data(), s.width, scratch.data());
        ops.attention_tangent(c, {s.q.data(), s.k.data(), s.v.data(), s.width, s.kv_width, tangent.data(), s.width},
                              other.data());
        for (uint32_t p : {0u, 1u, 49u, 50u, 95u, 96u, 130u, 209u}) {
          AttentionCall single = c;
          single.queries = &p;
          single.q = s.q.data() + p * s.width;
          ops.attention(single, one.data(), s.width, scratch.data());
          ops.attention_tangent(single,
                                {single.q, s.k.data(), s.v.data(), s.width, s.kv_width, one_tangent.data(), s.width},
                                other.data());
          for (size_t j = 0; j < s.width; j++) CHECK(one[j] == all[p * s.width + j]);
          for (size_t j = 0; j < s.width; j++) CHECK(one_tangent[j] == tangent[p * s.width + j]);
        }
      }
  });
}

TEST(a_window_as_long_as_the_text_is_none) {
  const Split s;
  for_each_isa([&](const Ops& ops, const BackwardOps&) {
    std::vector<float> scratch(ops.attention_scratch(s.length, s.n));
    for (bool causal : {false, true}) {
      std::vector<float> none(s.length * s.width), wide(none.size());
      ops.attention(s.call(causal, 0), none.data(), s.width, scratch.data());
      ops.attention(s.call(causal, s.length), wide.data(), s.width, scratch.data());
      CHECK(none == wide);
    }
  });
}

TEST(rows_do_not_depend_on_their_neighbours) {
  for_each_isa([](const Ops& ops, const BackwardOps&) {
    const size_t rows = 5, size = 173;
    const auto x = narrow(numbers(rows * size, "x")), other = narrow(numbers(rows * size, "y"));
    const std::vector<uint32_t> target = {3, 172, 0, 99, 64};
    std::vector<float> all(rows * size), one(size);
    std::vector<double> losses(rows), dots(rows);
    const auto both = [&](auto body) {  // body(first, rows, to)
      body(0, rows, all.data());
      for (size_t r = 0; r < rows; r++) {
        body(r, 1, one.data());
        for (size_t j = 0; j < size; j++) CHECK(one[j] == all[r * size + j]);
      }
    };
    NormCall norm;
    norm.size = size;
    norm.gain = other.data();
    for (bool center : {false, true}) {
      norm.center = center;
      both([&](size_t first, size_t count, float* to) {
        norm.rows = count;
        ops.norm(norm, x.data() + first * size, size, to, size);
      });
      both([&](size_t first, size_t count, float* to) {
        norm.rows = count;
        ops.norm_tangent(norm, {x.data() + first * size, size, other.data() + first * size, size, x.data(), nullptr},
                         to, size);
      });
    }
    ops.row_dots(rows, size, {x.data(), size}, {other.data(), size}, dots.data());
    ops.cross_entropy(rows, size, {x.data(), size}, target.data(), losses.data(), 0.5f, {all.data(), size});
    for (size_t r = 0; r < rows; r++) {
      double loss, dot;
      ops.cross_entropy(1, size, {x.data() + r * size, size}, &target[r], &loss, 0.5f, {one.data(), size});
      ops.row_dots(1, size, {x.data() + r * size, size}, {other.data() + r * size, size}, &dot);
      CHECK(loss == losses[r] && dot == dots[r]);
      for (size_t j = 0; j < size; j++) CHECK(one[j] == all[r * size + j]);
    }
  });
}

TEST(losses_are_right_far_from_zero) {
  for_each_isa([](const Ops& ops, const BackwardOps&) {
    // logits that differ by more than float32's exponents reach; a target that is certain, or impossible
    const std::vector<float> z = {1000, 1000, -1000, 900, -3e38f, 0};
    for (uint32_t target : {0u, 2u, 3u}) {
      const auto want = reference::cross_entropy(z.size(), Doubles(z.begin(), z.end()), {target}, 1);
      std::vector<float> e(z.size());
      double loss;
      ops.cross_entropy(1, z.size(), {z.data(), z.size()}, &target, &loss, 1, {e.data(), z.size()});
      CHECK_NEAR(loss, want.loss[0], 1e-12 * (1 + want.loss[0]));
      for (size_t j = 0; j < e.size(); j++) CHECK_NEAR(e[j], want.e[j], 1e-7);
    }
  });
}

TEST_MAIN
