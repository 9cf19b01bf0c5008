// What a tensor is made of beside its bytes in a file: an adapter's difference, eight-bit floats.
#include "files/weights.h"

#include <cmath>
#include <cstring>

#include "check.h"
#include "core/random.h"
#include "temporary_weights.h"

using namespace warp;

namespace {

std::vector<float> normal(const char* name, size_t count) {
  const Random random(7, name);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++) values[i] = float(random.normal(i));
  return values;
}

float stored(Dtype dtype, float value) {
  char bytes[8];
  from_float(dtype, &value, 1, bytes);
  to_float(dtype, bytes, 1, &value);
  return value;
}

// One tensor [rows × columns] with a difference of rank `rank`, and the same by the formula.
struct Adapted {
  std::shared_ptr<Weights> weights;
  std::vector<double> expected;

  Adapted(Dtype dtype, Dtype factors, size_t rows, size_t columns, size_t rank, bool transposed) {
    const std::vector<float> base = normal("base", rows * columns), left = normal("left", rows * rank),
                             right = normal("right", rank * columns);
    std::vector<float> l = left, r = right;
    if (transposed) {
      for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < rank; k++) l[k * rows + i] = left[i * rank + k];
      for (size_t j = 0; j < columns; j++)
        for (size_t k = 0; k < rank; k++) r[j * rank + k] = right[k * columns + j];
    }
    small::TemporaryWeights file(3);
    file.add("w", dtype, {rows, columns}, base);
    file.add("left", factors, {rows * rank}, l);
    file.add("right", factors, {rank * columns}, r);
    auto table = file.open()->tensors();
    auto delta = std::make_shared<LowRank>();
    delta->left = {factors, 0, table["left"].offset, transposed};
    delta->right = {factors, 0, table["right"].offset, transposed};
    delta->rank = rank;
    delta->scale = 0.75;
    table["w"].delta = delta;
    weights = std::make_shared<Weights>(std::vector<std::string>{file.path()}, table);
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < columns; j++) {
        double sum = 0;
        for (size_t k = 0; k < rank; k++)
          sum += double(stored(factors, left[i * rank + k])) * double(stored(factors, right[k * columns + j]));
        expected.push_back(double(stored(dtype, base[i * columns + j])) + 0.75 * sum);
      }
  }
};

}  // namespace

TEST(an_adapted_tensor_is_the_sum_rounded_once) {
  for (Dtype dtype : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16})
    for (Dtype factors : {Dtype::kF32, Dtype::kBF16})
      for (bool transposed : {false, true})
        for (size_t columns : {1, 5, 513, 1200}) {
          const Adapted made(dtype, factors, 3, columns, 4, transposed);
          std::vector<float> all(3 * columns);
          made.weights->read_float("w", 0, all.size(), all.data());
          for (size_t i = 0; i < all.size(); i++) {
            const float exact = float(made.expected[i]);
            CHECK(all[i] == (dtype == Dtype::kF64 ? exact : stored(dtype, exact)));
          }
        }
}

TEST(any_range_gives_the_same_bits) {
  const Adapted made(Dtype::kF32, Dtype::kF32, 5, 700, 3, true);
  std::vector<float> all(3500);
  made.weights->read_float("w", 0, all.size(), all.data());
  for (uint64_t begin : {0, 1, 699, 700, 1399, 3499})
    for (uint64_t count : {0, 1, 2, 700, 2101}) {
      if (begin + count > all.size()) continue;
      std::vector<float> part(count + 1, -1.0f);
      made.weights->read("w", begin, count, part.data());
      for (uint64_t i = 0; i < count; i++) CHECK(part[i] == all[begin + i]);
      CHECK(part[count] == -1.0f);
    }
}

TEST(new_rows_come_from_elsewhere) {
  const std::vector<float> old = normal("old", 12), fresh = normal("new", 20);
  for (Dtype dtype : {Dtype::kF32, Dtype::kBF16})
    for (Dtype other : {Dtype::kF32, Dtype::kF16}) {
      small::TemporaryWeights file(5);
      file.add("w", dtype, {3, 4}, old);
      file.add("n", other, {5, 4}, fresh);
      auto table = file.table();
      auto tail = std::make_shared<TensorTail>();
      tail->dtype = other;
      tail->file = 0;
      tail->first = 12;
      tail->offset = table["n"].offset + 12 * dtype_size(other);
      table["w"].shape = {5, 4};
      table["w"].tail = tail;
      const Weights weights({file.path()}, table);
      for (uint64_t begin = 0; begin < 20; begin++)
        for (uint64_t count = 0; begin + count <= 20; count++) {
          std::vector<float> values(count + 1, -1.0f);
          weights.read_float("w", begin, count, values.data());
          for (uint64_t i = 0; i < count; i++) {
            const uint64_t at = begin + i;
            CHECK(values[i] == (at < 12 ? stored(dtype, old[at]) : stored(dtype, stored(other, fresh[at]))));
          }
          CHECK(values[count] == -1.0f);
        }
    }
}

TEST(eight_bit_floats_are_read_as_halves) {
  small::TemporaryWeights file(1);
  std::vector<uint8_t> codes(256);
  for (size_t i = 0; i < 256; i++) codes[i] = uint8_t(i);
  file.add_bytes("w", {16, 16}, codes.data(), codes.size());
  for (Eight kind : {Eight::kE4M3, Eight::kE5M2}) {
    auto table = file.table();
    table["w"].eight = kind;
    table["w"].dtype = Dtype::kF16;
    const Weights weights({file.path()}, table);
    std::vector<float> values(256);
    weights.read_float("w", 0, 256, values.data());
    const int fraction = kind == Eight::kE4M3 ? 3 : 2, bias = kind == Eight::kE4M3 ? 7 : 15;
    for (int code = 0; code < 256; code++) {
      const int exponent = (code & 127) >> fraction, part = code & ((1 << fraction) - 1);
      const bool special = kind == Eight::kE4M3 ? (code & 127) == 127 : exponent == 31;
      const float value = values[size_t(code)];
      if (special) {
        CHECK(kind == Eight::kE5M2 && part == 0 ? std::isinf(value) : std::isnan(value));
        continue;
      }
      const double magnitude = exponent == 0 ? std::ldexp(double(part), 1 - bias - fraction)
                                             : std::ldexp(double(part + (1 << fraction)), exponent - bias - fraction);
      CHECK(value == float(code < 128 ? magnitude : -magnitude));
      CHECK(std::signbit(value) == (code >= 128));
    }
    std::vector<uint16_t> some(7);
    weights.read("w", 65, 7, some.data());
    for (size_t i = 0; i < 7; i++) CHECK(half_to_float(some[i]) == values[65 + i]);
  }
}

TEST_MAIN
