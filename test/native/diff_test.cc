// The loops of a diff against their definitions on every instruction set, eigenvalues against known ones, one set of
// bits for any number of threads, and rows and columns found at other places.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>

#include "check.h"
#include "core/random.h"
#include "diff/compare.h"
#include "diff/eigen.h"
#include "diff/kernels.h"
#include "diff/places.h"
#include "diff/spectrum.h"
#include "ops/ops.h"
#include "temporary_weights.h"

using namespace warp;

namespace {

constexpr Dtype kStored[] = {Dtype::kF32, Dtype::kF16, Dtype::kBF16};
constexpr size_t kSizes[] = {0, 1, 15, 16, 17, 511, 512, 513, 5003};

std::vector<const diff::Kernels*> instruction_sets() {
  std::vector<const diff::Kernels*> sets = {&diff::portable_kernels};
#if defined(__x86_64__)
  if (find_cpu_ops("avx2")) sets.push_back(&diff::avx2_kernels);
  if (find_cpu_ops("avx512")) sets.push_back(&diff::avx512_kernels);
#endif
  return sets;
}

std::vector<float> values(size_t count, uint64_t seed, double size) {
  const Random random(seed, "diff test");
  std::vector<float> made(count);
  for (size_t i = 0; i < count; i++) made[i] = float(size * random.normal(i));
  return made;
}

struct Stored {
  std::vector<char> bytes;
  std::vector<float> values;
  Stored(Dtype dtype, const std::vector<float>& wanted)
      : bytes(wanted.size() * dtype_size(dtype)), values(wanted.size()) {
    from_float(dtype, wanted.data(), wanted.size(), bytes.data());
    to_float(dtype, bytes.data(), wanted.size(), values.data());
  }
};

double power_of(double size, int smallest) {
  return size > std::ldexp(1.0, smallest) ? std::ldexp(1.0, std::ilogb(size)) : std::ldexp(1.0, smallest);
}

diff::Sums naive(const std::vector<float>& base, const std::vector<float>& reference, double ratio, int smallest) {
  diff::Sums sums;
  for (size_t i = 0; i < base.size(); i++) {
    const double b = base[i], r = reference[i], delta = double(float(r - b)), size = std::fabs(delta);
    const double power = power_of(std::max(std::fabs(b), std::fabs(r)), smallest);
    sums.base2 += b * b;
    sums.cross += b * delta;
    sums.delta2 += delta * delta;
    sums.power2 += power * power;
    sums.max_delta = std::max(sums.max_delta, size);
    sums.max_ratio = std::max(sums.max_ratio, size / std::max(power, 0x1p-14));
    sums.changed += b != r;
    sums.moved += size / power > ratio;
    uint32_t bits;
    std::memcpy(&bits, &base[i], 4);
    sums.base_bits |= bits;
    std::memcpy(&bits, &reference[i], 4);
    sums.reference_bits |= bits;
  }
  return sums;
}

void fill(small::TemporaryWeights& to, Dtype dtype, uint64_t rows, uint64_t columns, const std::vector<float>& made) {
  to.add("w", dtype, {rows, columns}, made);
}

}  // namespace

// A lane sums 32 float32 terms before float64 takes over: 32 · 2^-24 of the sum of absolute values.
TEST(comparing_is_its_definition) {
  for (const diff::Kernels* loops : instruction_sets())
    for (Dtype left : kStored)
      for (Dtype right : kStored)
        for (size_t count : kSizes) {
          std::vector<float> wanted = values(count, 1, 0.05), other = values(count, 2, 1e-3);
          for (size_t i = 0; i < count; i++) other[i] = i % 5 ? wanted[i] + other[i] : wanted[i];
          if (count > 3) wanted[3] = other[3] = 0;
          const Stored base(left, wanted), reference(right, other);
          const int smallest = right == Dtype::kF16 ? -14 : -126;
          const float ratio = 0x1p-8f;
          const diff::Sums expected = naive(base.values, reference.values, ratio, smallest);
          diff::Sums sums;
          loops->compare(left, base.bytes.data(), right, reference.bytes.data(), count, ratio, smallest, sums);
          const double error = 32 * 0x1p-24;
          CHECK_NEAR(sums.base2, expected.base2, error * expected.base2);
          CHECK_NEAR(sums.delta2, expected.delta2, error * expected.delta2);
          CHECK_NEAR(sums.cross, expected.cross, error * std::sqrt(expected.base2 * expected.delta2));
          CHECK_NEAR(sums.power2, expected.power2, error * expected.power2 + 1e-30);
          CHECK(sums.max_delta == expected.max_delta);
          CHECK(sums.max_ratio == expected.max_ratio);
          CHECK(sums.changed == expected.changed);
          CHECK(sums.moved == expected.moved);
          CHECK(sums.base_bits == expected.base_bits);
          CHECK(sums.reference_bits == expected.reference_bits);
        }
}

TEST(subtracting_gives_differences_and_powers) {
  for (const diff::Kernels* loops : instruction_sets())
    for (Dtype right : kStored)
      for (size_t count : kSizes) {
        const Stored base(Dtype::kF32, values(count, 1, 0.05)), reference(right, values(count, 2, 0.05));
        std::vector<float> delta(count + 1, 7), columns(count + 1, 1);
        const double sum = loops->subtract(Dtype::kF32, base.bytes.data(), right, reference.bytes.data(), count, -126,
                                           delta.data(), columns.data());
        double expected = 0;
        for (size_t i = 0; i < count; i++) {
          const float d = reference.values[i] - base.values[i];
          const double larger = std::max(std::fabs(base.values[i]), std::fabs(reference.values[i]));
          const double square = std::pow(power_of(larger, -126), 2) + 2 * std::pow(power_of(std::fabs(d), -126), 2);
          CHECK(delta[i] == d);
          CHECK_NEAR(columns[i], 1 + square, 0x1p-23 * 2);
          expected += square;
        }
        CHECK_NEAR(sum, expected, 32 * 0x1p-24 * expected);
        CHECK(delta[count] == 7 && columns[count] == 1);  // nothing behind the end
      }
}

TEST(thin_matrices) {
  for (const diff::Kernels* loops : instruction_sets()) {
    for (size_t count : kSizes) {
      const std::vector<float> a = values(count, 3, 1), b = values(count, 4, 1);
      double expected = 0, size = 0;
      for (size_t i = 0; i < count; i++) expected += double(a[i]) * b[i], size += std::fabs(double(a[i]) * b[i]);
      CHECK_NEAR(loops->dot(a.data(), b.data(), count), expected, 33 * 0x1p-24 * size);
      std::vector<float> sum = a;
      loops->add_scaled(-0.5f, b.data(), count, sum.data());
      for (size_t i = 0; i < count; i++) CHECK_NEAR(sum[i], a[i] - 0.5f * b[i], 0x1p-23 * (std::fabs(a[i]) + 1));
    }
    const size_t rows = 37, size = 48;
    const std::vector<float> y = values(rows * size, 5, 1);
    std::vector<double> wide(rows * size), gram(size * size, 1);
    loops->gram(rows, size, y.data(), wide.data(), gram.data());
    for (size_t i = 0; i < size; i++)
      for (size_t j = i; j < size; j++) {
        double expected = 1;
        for (size_t row = 0; row < rows; row++) expected += double(y[row * size + i]) * y[row * size + j];
        CHECK_NEAR(gram[i * size + j], expected, rows * 0x1p-52 * 20);
      }
  }
}

// The path's matrix 2, −1 has eigenvalues 2 − 2 cos(πk / (n + 1)); a dense one is made of it by reflections I − 2vvᵀ.
TEST(eigenvalues_of_a_known_matrix) {
  for (size_t n : {size_t(1), size_t(2), size_t(3), size_t(17), size_t(80)}) {
    std::vector<double> a(n * n, 0.0);
    for (size_t i = 0; i < n; i++) {
      a[i * n + i] = 2;
      if (i > 0) a[i * n + i - 1] = a[(i - 1) * n + i] = -1;
    }
    for (uint64_t round = 0; round < 3 && n > 1; round++) {
      std::vector<float> drawn = values(n, 10 + round, 1);
      double square = 0;
      for (float value : drawn) square += double(value) * value;
      std::vector<double> v(n), p(n, 0.0);
      for (size_t i = 0; i < n; i++) v[i] = drawn[i] / std::sqrt(square);
      double along = 0;
      for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) p[i] += 2 * a[i * n + j] * v[j];
        along += p[i] * v[i];
      }
      for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) a[i * n + j] += -v[i] * p[j] - p[i] * v[j] + 2 * along * v[i] * v[j];
    }
    const std::vector<double> found = diff::eigenvalues(a, n);
    CHECK(found.size() == n);
    for (size_t k = 0; k < n; k++)
      CHECK_NEAR(found[k], 2 - 2 * std::cos(M_PI * double(n - k) / double(n + 1)), double(n) * 0x1p-50);
  }
  for (double value : diff::eigenvalues(std::vector<double>(9, 0.0), 3)) CHECK(value == 0);
}

TEST(the_same_bits_for_any_threads_and_memory) {
  const uint64_t rows = 1500, columns = 130;
  small::TemporaryWeights left, right;
  std::vector<float> base = values(rows * columns, 1, 0.05), other = values(rows * columns, 2, 1e-3);
  for (size_t i = 0; i < base.size(); i++) other[i] += base[i];
  fill(left, Dtype::kF32, rows, columns, base);
  fill(right, Dtype::kBF16, rows, columns, other);
  const auto from = left.open(), to = right.open();
  diff::Spectrum first;
  diff::Sums sums;
  for (int count : {1, 2, 5})
    for (uint64_t memory : {uint64_t(0), uint64_t(1) << 30}) {
      Context context;
      Threads threads(count);
      diff::SpectrumRequest request;
      request.name = "w";
      request.memory = memory;
      const diff::Spectrum found = diff::spectrum(*from, *to, request, threads, context);
      const diff::Sums compared = diff::compare(*from, *to, threads, context).at(0).sums;
      if (first.values.empty()) {
        first = found;
        sums = compared;
      }
      CHECK(found.values == first.values);
      CHECK(found.rounding == first.rounding && found.passes == first.passes);
      CHECK(std::memcmp(&compared, &sums, sizeof sums) == 0);
    }
  CHECK(first.values.size() == 80);
  CHECK(std::is_sorted(first.values.rbegin(), first.values.rend()));
}

TEST(cancelling_ends_it) {
  small::TemporaryWeights left, right;
  fill(left, Dtype::kF32, 300, 40, values(12000, 1, 1));
  fill(right, Dtype::kF32, 300, 40, values(12000, 2, 1));
  Context context;
  context.cancel();
  Threads threads(2);
  diff::SpectrumRequest request;
  request.name = "w";
  bool cancelled = false;
  try {
    diff::spectrum(*left.open(), *right.open(), request, threads, context);
  } catch (const Cancelled&) {
    cancelled = true;
  }
  CHECK(cancelled);
}

TEST(no_difference_and_tiny_shapes) {
  for (const auto& [rows, columns] : {std::pair<uint64_t, uint64_t>{1, 1}, {2, 300}, {300, 2}, {20, 20}, {0, 5}}) {
    small::TemporaryWeights left, right;
    const std::vector<float> same = values(rows * columns, 1, 1);
    fill(left, Dtype::kF32, rows, columns, same);
    fill(right, Dtype::kF32, rows, columns, same);
    Context context;
    Threads threads(2);
    diff::SpectrumRequest request;
    request.name = "w";
    const diff::Spectrum found = diff::spectrum(*left.open(), *right.open(), request, threads, context);
    CHECK(found.values.size() == std::min<size_t>({80, rows, columns}));
    for (double value : found.values) CHECK(value == 0);
  }
}

TEST(rows_and_columns_at_other_places) {
  const uint64_t rows = 700, columns = 90;
  std::vector<float> base = values(rows * columns, 1, 1), turned(base.size()), aside(base.size());
  for (uint64_t i = 0; i < rows; i++)
    for (uint64_t j = 0; j < columns; j++) {
      turned[i * columns + j] = base[(i < 10 ? 9 - i : i) * columns + j];
      aside[i * columns + j] = base[i * columns + (j + 1) % columns];
    }
  turned[20 * columns] += 1;  // a row that is nowhere
  small::TemporaryWeights first, second, third;
  fill(first, Dtype::kF32, rows, columns, base);
  fill(second, Dtype::kBF16, rows, columns, turned);  // equal after rounding to the coarser type
  fill(third, Dtype::kF32, rows, columns, aside);
  const auto one = first.open(), two = second.open(), three = third.open();
  for (int count : {1, 3}) {
    Context context;
    Threads threads(count);
    const diff::Places found = diff::places(*one, *two, "w", threads, context);
    for (uint64_t i = 0; i < rows; i++) CHECK(found.rows[i] == (i < 10 ? 9 - i : i == 20 ? diff::kNowhere : i));
    const diff::Places moved = diff::places(*one, *three, "w", threads, context);
    for (uint64_t j = 0; j < columns; j++) CHECK(moved.columns[j] == (j + 1) % columns);
    for (uint32_t row : moved.rows) CHECK(row == diff::kNowhere);
  }
}

TEST_MAIN
