// The element-wise loops of the paths: one set of bits for every instruction set, and the core's own conversions.
#include <cmath>
#include <cstring>

#include "check.h"
#include "core/random.h"
#include "paths/kernels.h"

using namespace warp;

TEST(instruction_sets_give_the_same_bits) {
  const size_t count = 257 * 129;
  std::vector<float> base(count), reference(count);
  for (size_t i = 0; i < count; i++) {
    base[i] = float(0.05 * Random(7, "l").normal(i));
    reference[i] = base[i] + float(0.003 * Random(7, "r").normal(i));
  }
  std::vector<const paths::Kernels*> sets = {&paths::portable_kernels};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) sets.push_back(&paths::avx2_kernels);
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    sets.push_back(&paths::avx512_kernels);
#endif
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

TEST_MAIN
