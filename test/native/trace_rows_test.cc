// The sums over rows of two embedding tables: the definition, one set of bits for every instruction set and any number
// of threads, nothing read beside a row, and rows with NaNs or infinities flagged.
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "check.h"
#include "core/random.h"
#include "ops/ops.h"
#include "temporary_weights.h"
#include "trace/row_kernels.h"
#include "trace/rows.h"

using namespace warp;

namespace {

constexpr Dtype kStored[] = {Dtype::kF32, Dtype::kF16, Dtype::kBF16};
constexpr size_t kWidest = (1 << 18) + 3;  // more than one block of row_sums
constexpr size_t kWidths[] = {0, 1, 15, 16, 17, 511, 512, 513, 8192 + 3};
constexpr float kAlphas[] = {0, -1e-4f, 0.37f, 1e-30f};

std::vector<const RowKernels*> instruction_sets() {
  std::vector<const RowKernels*> sets = {&row_kernels_portable};
#if defined(__x86_64__)
  if (find_cpu_ops("avx2")) sets.push_back(&row_kernels_avx2);
  if (find_cpu_ops("avx512")) sets.push_back(&row_kernels_avx512);
#endif
  return sets;
}

// Pages between two that may not be touched: what a loop reads beside its row ends the program.
class Pages {
 public:
  Pages() : page_(size_t(sysconf(_SC_PAGESIZE))), size_((kMost + page_ - 1) / page_ * page_) {
    void* all = mmap(nullptr, size_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw internal_error("no pages");
    begin_ = static_cast<char*>(all) + page_;
    if (mprotect(begin_, size_, PROT_READ | PROT_WRITE) != 0) throw internal_error("pages stay closed");
  }
  ~Pages() { munmap(begin_ - page_, size_ + 2 * page_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  // A copy at the very end or the very beginning, with NaNs of every dtype on its other side.
  const char* hold(const std::vector<char>& bytes, bool end) {
    char* to = end ? begin_ + size_ - bytes.size() : begin_;
    std::memset(end ? to - kBeside : to + bytes.size(), 0xff, kBeside);
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    return to;
  }

 private:
  static constexpr size_t kBeside = 256, kMost = kBeside + 4 * kWidest;
  const size_t page_, size_;
  char* begin_;
};

struct Row {
  Dtype dtype;
  std::vector<char> bytes;
  std::vector<float> values;

  Row(Dtype dtype, const std::vector<float>& wanted)
      : dtype(dtype), bytes(wanted.size() * dtype_size(dtype)), values(wanted.size()) {
    from_float(dtype, wanted.data(), wanted.size(), bytes.data());
    to_float(dtype, bytes.data(), wanted.size(), values.data());
  }
};

enum Values { kUsual, kWide, kAnyBits };

// of any exponent in the range
float any_float(uint32_t bits, int least, int most) {
  const double size = std::ldexp(1 + (bits >> 12) * 0x1p-20, least + int(bits & 1023) % (most - least));
  return float(bits & 1024 ? size : -size);
}

// kUsual: as tables are. kWide: of every size that does not overflow, denormals and zeros of both signs among them.
// kAnyBits: whatever the dtype can hold.
std::vector<float> values(Values which, Dtype dtype, size_t count, uint64_t seed) {
  const Random random(seed, "row");
  std::vector<float> all(count);
  for (size_t i = 0; i < count; i++) {
    if (which == kUsual) all[i] = float(0.05 * random.normal(i));
    if (which == kWide)
      all[i] = any_float(random.word(i), dtype == Dtype::kF16 ? -26 : -150, dtype == Dtype::kF16 ? 14 : 20);
    if (which == kWide && i % 7 == 5) all[i] = i % 2 ? -0.0f : 0.0f;
    if (which == kAnyBits) {
      const uint32_t bits = random.word(i);
      if (dtype == Dtype::kF16) all[i] = half_to_float(uint16_t(bits));
      if (dtype == Dtype::kBF16) all[i] = bfloat_to_float(uint16_t(bits));
      if (dtype == Dtype::kF32) std::memcpy(&all[i], &bits, 4);
    }
  }
  return all;
}

struct Pair {
  Row base, reference;
};

Pair pair_of(Values which, Dtype base, Dtype reference, size_t count, uint64_t seed) {
  std::vector<float> left = values(which, base, count, 2 * seed), right = values(which, reference, count, 2 * seed + 1);
  if (which == kUsual)
    for (size_t i = 0; i < count; i++) right[i] = left[i] * 0.9999f + 0.001f * right[i];
  return {Row(base, left), Row(reference, right)};
}

RowSums sums_of(const RowKernels& kernels, const Pair& pair, float alpha, bool end) {
  static Pages left, right;
  return kernels.sums(pair.base.dtype, left.hold(pair.base.bytes, end), pair.reference.dtype,
                      right.hold(pair.reference.bytes, end), pair.base.values.size(), alpha);
}

bool same_bits(const RowSums& a, const RowSums& b) {  // of NaNs the fact alone
  double left[8], right[8];
  std::memcpy(left, &a, sizeof left);
  std::memcpy(right, &b, sizeof right);
  for (size_t i = 0; i < 8; i++)
    if (std::memcmp(left + i, right + i, 8) != 0 && !(std::isnan(left[i]) && std::isnan(right[i]))) return false;
  return true;
}

template <class Body>
void for_each_pair(const Body& body) {
  uint64_t seed = 1;
  for (Dtype base : kStored)
    for (Dtype reference : kStored)
      for (size_t width : kWidths)
        for (float alpha : kAlphas) body(base, reference, width, alpha, seed++);
}

struct Term {
  double sum = 0, slack = 0;
  // x·y with errors dx and dy. Products round by 2^-24 of themselves, and of a lane's 32 sums each as much of what has
  // been summed: 33 · 2^-24 of the absolute values; what underflows loses up to 2^-150, before it is multiplied by
  // `scale`.
  void add(double x, double dx, double y, double dy, double scale) {
    sum += x * y * scale;
    const double off = std::fabs(x) * dy + std::fabs(y) * dx + dx * dy;
    slack += (off + 34 * 0x1p-24 * (std::fabs(x * y) + off) + 0x1p-149) * scale;
  }
  bool holds(double found) const { return std::fabs(found - sum) <= slack; }
};

int bits_of(Dtype dtype) { return dtype == Dtype::kF32 ? 23 : dtype == Dtype::kF16 ? 10 : 7; }

// r is formed by three roundings: of θ* - θ₀, of αθ₀ (which may underflow) and of their difference.
bool is_the_definition(const Pair& pair, float alpha, const RowSums& found) {
  Term residual2, product, base2, error2, cross, scale2;
  double largest = 0, slack = 0;
  for (size_t i = 0; i < pair.base.values.size(); i++) {
    const double b = pair.base.values[i], t = pair.reference.values[i], r = t - b - alpha * b;
    const double dr = 1.0001 * 0x1p-24 * (std::fabs(t - b) + std::fabs(alpha * b) + std::fabs(r)) + 0x1p-149;
    int exponent = 0;
    std::frexp(std::max(std::fabs(t), 0x1p-14), &exponent);
    const double inverse = std::ldexp(1.0, bits_of(pair.reference.dtype) + 1 - exponent), inverse2 = inverse * inverse;
    residual2.add(r, dr, r, dr, 1);
    product.add(r, dr, b, 0, 1);
    base2.add(b, 0, b, 0, 1);
    error2.add(r, dr, r, dr, inverse2);
    cross.add(r, dr, b, 0, inverse2);
    scale2.add(b, 0, b, 0, inverse2);
    largest = std::max(largest, std::fabs(r) * inverse);
    // the root of the largest square, which rounds by 2^-24 of itself and loses up to 2^-149 where it underflows
    slack = std::max(slack, (dr + 0x1p-25 * std::fabs(r) + 0x1p-74) * inverse);
  }
  return residual2.holds(found.residual2) && product.holds(found.product) && base2.holds(found.base2) &&
         error2.holds(found.error2) && cross.holds(found.cross) && scale2.holds(found.scale2) &&
         std::fabs(found.max_error - largest) <= slack && found.non_finite == 0;
}

std::string describe(const char* what, Dtype base, Dtype reference, size_t width, float alpha) {
  return std::string(what) + ": " + dtype_name(base) + " against " + dtype_name(reference) + ", " +
         std::to_string(width) + " columns, alpha " + std::to_string(alpha);
}

}  // namespace

TEST(sums_are_their_definition) {
  for (Values which : {kUsual, kWide})
    for_each_pair([&](Dtype base, Dtype reference, size_t width, float alpha, uint64_t seed) {
      const Pair pair = pair_of(which, base, reference, width, seed);
      for (bool end : {false, true})
        if (!is_the_definition(pair, alpha, sums_of(row_kernels(), pair, alpha, end)))
          check::fail(__FILE__, __LINE__, describe("not the definition", base, reference, width, alpha));
    });
}

TEST(instruction_sets_give_the_same_bits) {
  for (Values which : {kUsual, kWide, kAnyBits})
    for_each_pair([&](Dtype base, Dtype reference, size_t width, float alpha, uint64_t seed) {
      const Pair pair = pair_of(which, base, reference, width, seed);
      const RowSums expected = sums_of(row_kernels_portable, pair, alpha, false);
      for (const RowKernels* kernels : instruction_sets())
        for (bool end : {false, true})
          if (!same_bits(sums_of(*kernels, pair, alpha, end), expected))
            check::fail(__FILE__, __LINE__, describe(kernels->name, base, reference, width, alpha));
    });
}

TEST(every_stored_number_gives_the_same_bits) {
  std::vector<float> all;
  for (uint32_t bits = 0; bits < 65536; bits++) all.push_back(half_to_float(uint16_t(bits)));
  std::vector<float> brain;
  for (uint32_t bits = 0; bits < 65536; bits++) brain.push_back(bfloat_to_float(uint16_t(bits)));
  for (const auto& [dtype, numbers] : {std::pair(Dtype::kF16, &all), std::pair(Dtype::kBF16, &brain)})
    for (size_t i = 0; i < numbers->size(); i += 13) {
      const std::vector<float> one(numbers->begin() + long(i),
                                   numbers->begin() + long(std::min(i + 13, numbers->size())));
      const Pair left = {Row(dtype, one), Row(Dtype::kF32, std::vector<float>(one.size(), 0.25f))};
      const Pair right = {Row(Dtype::kF32, std::vector<float>(one.size(), 0.25f)), Row(dtype, one)};
      for (const Pair* pair : {&left, &right})
        for (const RowKernels* kernels : instruction_sets())
          CHECK(same_bits(sums_of(*kernels, *pair, -0.01f, true), sums_of(row_kernels_portable, *pair, -0.01f, true)));
    }
}

namespace {

struct Table {
  Dtype dtype;
  size_t rows, columns;
  std::vector<float> values;
};

// Two such tables in one file, which goes with them.
class Tables {
 public:
  explicit Tables(const std::vector<Table>& tables) {
    small::TemporaryWeights file;
    for (size_t i = 0; i < tables.size(); i++)
      file.add(i == 0 ? "base" : "reference", tables[i].dtype, {tables[i].rows, tables[i].columns}, tables[i].values);
    weights_ = file.open();
  }
  std::vector<RowSums> sums(int threads, const RowRequest& more = {}) const {
    RowRequest request = more;
    request.base = "base";
    request.reference = "reference";
    Threads pool(threads);
    Context context;
    return row_sums(*weights_, *weights_, request, pool, context);
  }

 private:
  std::shared_ptr<Weights> weights_;
};

Table random_table(Dtype dtype, size_t rows, size_t columns, uint64_t seed) {
  return {dtype, rows, columns, values(kUsual, dtype == Dtype::kF64 ? Dtype::kF32 : dtype, rows * columns, seed)};
}

bool same_bits(const std::vector<RowSums>& a, const std::vector<RowSums>& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); i++) same = same_bits(a[i], b[i]);
  return same;
}

}  // namespace

TEST(any_number_of_threads_gives_the_same_bits) {
  for (size_t columns : {size_t(1), size_t(33), size_t(513), kWidest})
    for (Dtype dtype : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16}) {
      const size_t rows = 1200000 / columns + 5;
      const Table base = random_table(Dtype::kF16, rows + 3, columns, 1),
                  reference = random_table(dtype, rows, columns, 2);
      const Tables tables({base, reference});
      RowRequest request;
      request.alpha = -1e-4;
      const std::vector<RowSums> one = tables.sums(1, request);
      CHECK(one.size() == rows);
      for (int threads : {2, 3, 7}) CHECK(same_bits(tables.sums(threads, request), one));
      for (size_t row = 0; row < rows; row += 1 + rows / 50) {
        const auto part = [&](const Table& table) {
          return std::vector<float>(&table.values[row * columns], &table.values[row * columns] + columns);
        };
        const Pair pair = {Row(Dtype::kF16, part(base)),
                           Row(dtype == Dtype::kF64 ? Dtype::kF32 : dtype, part(reference))};
        CHECK(same_bits(one[row], sums_of(row_kernels_portable, pair, -1e-4f, false)));
      }
      // chosen rows are the same rows
      request.rows = request.base_rows = {uint32_t(rows - 1), 0, 4, 4};
      const std::vector<RowSums> some = tables.sums(3, request);
      for (size_t i = 0; i < 4; i++) CHECK(same_bits(some[i], one[request.rows[i]]));
    }
}

TEST(rows_that_are_not_finite_are_flagged) {
  const float bad[] = {INFINITY, -INFINITY, NAN};
  for (Dtype base : kStored)
    for (Dtype reference : kStored)
      for (size_t columns : {size_t(1), size_t(17), size_t(513)}) {
        Table left = random_table(base, 200, columns, 3), right = random_table(reference, 200, columns, 4);
        std::vector<double> expected(200, 0);
        for (size_t row = 0; row < 200; row += 3) {
          const size_t at = row * columns + (row * 31) % columns;
          if (row % 2 == 0) right.values[at] = bad[row % 5 % 3];
          if (row % 4 == 1 || row % 4 == 2) left.values[at] = bad[row % 3];
          expected[row] = row % 4 == 1 || row % 4 == 2 ? 1 : row % 2 == 0 ? 2 : 0;
        }
        const std::vector<RowSums> found = Tables({left, right}).sums(2);
        for (size_t row = 0; row < 200; row++) CHECK(found[row].non_finite == expected[row]);
      }
  // sums that overflow are no reason
  const std::vector<RowSums> large =
      Tables({{Dtype::kF32, 1, 2, {1e30f, 1}}, {Dtype::kF32, 1, 2, {-1e30f, 1}}}).sums(1);
  CHECK(std::isinf(large[0].base2) && large[0].non_finite == 0);
}

TEST(a_cancelled_pass_ends_after_the_blocks_in_hand) {
  TensorInfo zeros;
  zeros.fill = TensorInfo::Fill::kZeros;
  zeros.shape = {1000000, 512};
  const Weights weights({}, {{"table", zeros}});
  for (int threads : {1, 3}) {
    RowRequest request;
    request.base = request.reference = "table";
    Threads pool(threads);
    Context context;
    std::atomic<int> reports{0};
    context.report = [&](double, double) {
      reports++;
      context.cancel();
    };
    bool cancelled = false;
    try {
      row_sums(weights, weights, request, pool, context);
    } catch (const Cancelled&) {
      cancelled = true;
    }
    CHECK(cancelled && reports >= 1 && reports <= threads);
  }
}

TEST_MAIN
