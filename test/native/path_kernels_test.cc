// The element-wise loops of the paths: one set of bits for every instruction set, and the core's own conversions.
#include <cmath>
#include <cstring>

#include "check.h"
#include "core/random.h"
#include "ops/ops.h"
#include "paths/kernels.h"

using namespace warp;

std::vector<const paths::Kernels*> instruction_sets() {
  std::vector<const paths::Kernels*> sets = {&paths::portable_kernels};
#if defined(__x86_64__)
  if (find_cpu_ops("avx2")) sets.push_back(&paths::avx2_kernels);
  if (find_cpu_ops("avx512")) sets.push_back(&paths::avx512_kernels);
#endif
  return sets;
}

TEST(instruction_sets_give_the_same_bits) {
  const size_t count = 257 * 129;
  std::vector<float> base(count), reference(count);
  for (size_t i = 0; i < count; i++) {
    base[i] = float(0.05 * Random(7, "l").normal(i));
    reference[i] = base[i] + float(0.003 * Random(7, "r").normal(i));
  }
  const std::vector<const paths::Kernels*> sets = instruction_sets();
  const float *l = base.data(), *r = reference.data();
  const uint32_t key[2] = {123456789u, 987654321u};
  for (size_t n : {size_t(0), size_t(1), size_t(15), size_t(257), count}) {
    std::vector<std::vector<float>> outs;
    std::vector<double> sums;
    for (const paths::Kernels* k : sets) {
      std::vector<float> out(n * 9 + 64);
      std::vector<uint8_t> keep(n);
      for (size_t i = 0; i < n; i++) keep[i] = i % 3 == 0;
      k->lerp(l, r, 0.3, n, out.data());
      k->blend(l, r, 0.3, 0.8, n, out.data() + n);
      k->masked(l, r, keep.data(), 1.7, n, out.data() + 2 * n);
      k->clip(l, r, 0.002, n, out.data() + 3 * n);
      k->words(key, (uint64_t(1) << 32) - 3, n / 4, reinterpret_cast<uint32_t*>(out.data() + 4 * n));
      k->encode(Dtype::kF16, l, n, out.data() + 5 * n);
      k->encode(Dtype::kBF16, r, n, out.data() + 6 * n);
      k->decode(Dtype::kF16, l, n, out.data() + 7 * n);
      k->magnitudes(l, r, n, reinterpret_cast<uint32_t*>(out.data() + 8 * n));
      const paths::Sums s = k->sums(l, r, n);
      sums.push_back(s.ll + 3 * s.rr + 5 * s.lr + k->largest(l, r, n) + k->total(l, r, n) +
                     k->kept(l, r, keep.data(), n));
      outs.push_back(out);
    }
    for (size_t i = 1; i < sets.size(); i++) {
      CHECK(std::memcmp(outs[0].data(), outs[i].data(), outs[0].size() * 4) == 0);
      CHECK(sums[0] == sums[i]);
    }
  }
  // Philox against the plain generator, across the carry into the counter's second word
  std::vector<uint32_t> words(40);
  paths::kernels().words(key, (uint64_t(1) << 32) - 3, 10, words.data());
  for (uint64_t i = 0; i < 10; i++) {
    const uint64_t counter = (uint64_t(1) << 32) - 3 + i;
    const auto block = philox({uint32_t(counter), uint32_t(counter >> 32), 0, 0}, {key[0], key[1]});
    for (size_t j = 0; j < 4; j++) CHECK(words[4 * i + j] == block[j]);
  }
}

TEST(conversion_agrees_with_the_core_s_and_finds_what_overflows) {
  std::vector<float> all;
  for (uint32_t bits = 0; bits < 65536; bits++) {
    all.push_back(half_to_float(uint16_t(bits)));
    all.push_back(std::nextafterf(half_to_float(uint16_t(bits)), 1e30f));
    all.push_back(bfloat_to_float(uint16_t(bits)) * 1.00390625f);
  }
  for (const paths::Kernels* k : {&paths::portable_kernels, &paths::kernels()})
    for (Dtype dtype : {Dtype::kF16, Dtype::kBF16, Dtype::kF32, Dtype::kF64}) {
      std::vector<char> want(all.size() * 8), got(all.size() * 8);
      from_float(dtype, all.data(), all.size(), want.data());
      const size_t bad = k->encode(dtype, all.data(), all.size(), got.data());
      CHECK(std::memcmp(want.data(), got.data(), all.size() * dtype_size(dtype)) == 0);
      std::vector<float> back(all.size()), again(all.size());
      to_float(dtype, want.data(), all.size(), back.data());
      k->decode(dtype, want.data(), all.size(), again.data());
      CHECK(std::memcmp(back.data(), again.data(), all.size() * 4) == 0);
      size_t first = 0;
      while (std::isfinite(back[first])) first++;
      CHECK(bad == first);
    }
}

// All pairs of one stored value with another, from every exponent: what cancels, overflows and is denormal too.
std::vector<uint16_t> stored_values(Dtype dtype) {
  const uint16_t exponent = dtype == Dtype::kF16 ? 0x7c00 : 0x7f80;
  std::vector<uint16_t> all;
  for (uint32_t i = 0; i < 1500; i++) {
    const uint16_t bits = uint16_t(philox({i, 0, 0, 0}, {5, 6})[0]);
    if ((bits & exponent) != exponent) all.push_back(bits);
  }
  for (uint16_t bits : {0x0000, 0x8000, 0x0001, 0x8001, int(exponent) - 1, 0x8000 + exponent - 1}) all.push_back(bits);
  return all;
}

struct Merged {
  std::vector<uint16_t> l, r, out;
  std::vector<uint8_t> keep;
};

Merged merge_all_pairs(const paths::Kernels& k, Dtype dtype, const paths::Formula& formula) {
  const std::vector<uint16_t> some = stored_values(dtype);
  Merged m;
  for (size_t i = 0; i < some.size(); i++)
    for (size_t j = 0; j < some.size(); j++) {
      m.l.push_back(some[i]);
      m.r.push_back(some[j]);
      m.keep.push_back((i + j) % 3 != 0);
    }
  m.out.resize(m.l.size());
  for (size_t at = 0, size = 1; at < m.l.size(); at += size, size = size % 97 + 1) {  // every length and alignment
    const size_t end = std::min(at + size, m.l.size());
    for (size_t i = at; i < end; i++)  // goes on behind what is not finite
      i += k.merge(dtype, formula, &m.l[i], &m.r[i], &m.keep[i], end - i, &m.out[i]);
  }
  return m;
}

double opened(Dtype dtype, uint16_t bits) { return dtype == Dtype::kF16 ? half_to_float(bits) : bfloat_to_float(bits); }

const paths::Formula kFormulas[] = {{paths::Formula::kLerp, 0.3, 0},    {paths::Formula::kLerp, 0.5, 0},
                                    {paths::Formula::kMasked, 1.7, 0},  {paths::Formula::kBlend, 0.6, 1.1},
                                    {paths::Formula::kClip, 0.0021, 0}, {paths::Formula::kClip, 1e39, 0}};

TEST(sixteen_bit_merges_are_the_formula_rounded) {
  // Float32 has five roundings of 2^-24 at most, of values no larger than 2.7 · (|l| + |r|) (a ≤ 1.7), or than clip's
  // |l| + a; below float32's own least normal number each of them is 2^-150 at most. Then half a unit of the dtype.
  for (Dtype dtype : {Dtype::kF16, Dtype::kBF16})
    for (const paths::Formula& f : kFormulas) {
      const Merged m = merge_all_pairs(paths::kernels(), dtype, f);
      const bool half = dtype == Dtype::kF16;
      const double least = half ? 0x1p-14 : 0x1p-126, unit = half ? 0x1p-10 : 0x1p-7, most = half ? 65520 : 0x1.ffp127;
      size_t wrong = 0;
      for (size_t i = 0; i < m.l.size(); i++) {
        const double l = opened(dtype, m.l[i]), r = opened(dtype, m.r[i]), got = opened(dtype, m.out[i]);
        double want = l + f.a * (r - l);
        if (f.family == paths::Formula::kMasked && !m.keep[i]) want = l;
        if (f.family == paths::Formula::kBlend) want = f.a * l + f.b * r;
        if (f.family == paths::Formula::kClip) want = std::min(std::max(r, l - f.a), l + f.a);
        const double a = f.family == paths::Formula::kClip ? std::min(f.a, std::fabs(r) + std::fabs(l)) : 0;
        const double slack = 5 * (0x1p-24 * (2.7 * (std::fabs(l) + std::fabs(r)) + a) + 0x1p-150);
        // the unit where it is widest: at the larger of the two magnitudes
        int exponent = 0;
        std::frexp(std::max({std::fabs(want) + slack, std::fabs(got), least}), &exponent);
        if (std::isinf(got)) wrong += std::fabs(want) + slack < most || std::signbit(got) != std::signbit(want);
        else wrong += !(std::fabs(got - want) <= 0.5 * std::ldexp(unit, exponent - 1) + slack);
        if (f.family == paths::Formula::kMasked && !m.keep[i]) wrong += m.out[i] != m.l[i];
        if (m.l[i] == m.r[i] && f.family != paths::Formula::kBlend) wrong += m.out[i] != m.l[i];  // −0 too
      }
      if (wrong)
        check::fail(__FILE__, __LINE__,
                    std::string(dtype_name(dtype)) + " formula " + std::to_string(f.family) + ": " +
                        std::to_string(wrong) + " wrong");
    }
}

TEST(sixteen_bit_merges_have_the_same_bits_everywhere) {
  for (const paths::Kernels* k : instruction_sets())
    for (Dtype dtype : {Dtype::kF16, Dtype::kBF16})
      for (const paths::Formula& f : kFormulas)
        CHECK(merge_all_pairs(*k, dtype, f).out == merge_all_pairs(paths::portable_kernels, dtype, f).out);
}

TEST(sixteen_bit_merges_find_what_is_not_finite) {
  for (const paths::Kernels* k : instruction_sets())
    for (Dtype dtype : {Dtype::kF16, Dtype::kBF16}) {
      const uint16_t exponent = dtype == Dtype::kF16 ? 0x7c00 : 0x7f80, most = uint16_t(exponent - 1);
      for (uint16_t bad : {exponent, uint16_t(exponent | 1), uint16_t(exponent | 0x8000), uint16_t(0xffff)})
        for (size_t at : {size_t(0), size_t(31), size_t(32), size_t(70)}) {
          std::vector<uint16_t> l(71, 0x1234), r(71, 0x1230), out(71);
          const std::vector<uint8_t> keep(71, 0);
          r[at] = bad;
          CHECK(k->merge(dtype, {paths::Formula::kLerp, 0.3, 0}, l.data(), r.data(), nullptr, 71, out.data()) == at);
          CHECK(k->merge(dtype, {paths::Formula::kMasked, 0.3, 0}, l.data(), r.data(), keep.data(), 71, out.data()) ==
                71);
          l[at] = bad;
          CHECK(k->merge(dtype, {paths::Formula::kMasked, 0.3, 0}, l.data(), r.data(), keep.data(), 71, out.data()) ==
                at);
        }
      // the difference of the two ends overflows float32 for bfloats, their middle does not
      const std::vector<uint16_t> l(3, most), r(3, uint16_t(most | 0x8000));
      std::vector<uint16_t> out(3);
      CHECK(k->merge(dtype, {paths::Formula::kLerp, 0.5, 0}, l.data(), r.data(), nullptr, 3, out.data()) == 3);
      CHECK(out == std::vector<uint16_t>(3, 0));
      CHECK(k->merge(dtype, {paths::Formula::kBlend, 1, -1}, l.data(), r.data(), nullptr, 3, out.data()) == 0);
    }
}

TEST_MAIN
