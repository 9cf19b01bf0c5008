// Sketches of outer products against the products themselves, over seeds.
#include "select/sketch.h"

#include <random>

#include "check.h"

namespace warp {

// The product of two sketches of sums of outer products, over seeds: its mean is the product of the sums. The standard
// error is that of the seeds' own spread; 4 of them are left out once in 16 000 draws, and the seeds are fixed.
TEST(sketches_are_unbiased) {
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  constexpr size_t kA = 37, kB = 21, kTerms = 3, kSeeds = 3000;
  const SketchShape shape(64);
  CHECK(shape.rows == 8 && shape.columns == 8 && SketchShape(32).size() == 32);
  std::vector<float> a(2 * kTerms * kA), b(2 * kTerms * kB);
  for (float& value : a) value = normal(random) + 0.3f;
  for (float& value : b) value = normal(random) + 0.3f;
  double exact = 0;
  for (size_t s = 0; s < kTerms; s++)
    for (size_t t = kTerms; t < 2 * kTerms; t++) {
      double x = 0, y = 0;
      for (size_t i = 0; i < kA; i++) x += double(a[s * kA + i]) * double(a[t * kA + i]);
      for (size_t i = 0; i < kB; i++) y += double(b[s * kB + i]) * double(b[t * kB + i]);
      exact += x * y;
    }
  double sum = 0, squares = 0;
  for (uint64_t seed = 0; seed < kSeeds; seed++) {
    const Buckets left(seed, "left", kA, shape.rows), right(seed, "right", kB, shape.columns);
    std::vector<float> sketch(2 * shape.size(), 0.0f);
    for (size_t t = 0; t < 2 * kTerms; t++) {
      std::vector<float> u(shape.rows, 0.0f), w(shape.columns, 0.0f);
      left.add(&a[t * kA], 0, 20, u.data());  // in two parts
      left.add(&a[t * kA + 20], 20, kA - 20, u.data());
      right.add(&b[t * kB], 0, kB, w.data());
      add_outer(shape, u.data(), w.data(), sketch.data() + (t < kTerms ? 0 : shape.size()));
    }
    double product = 0;
    for (size_t i = 0; i < shape.size(); i++) product += double(sketch[i]) * double(sketch[shape.size() + i]);
    sum += product;
    squares += product * product;
  }
  const double mean = sum / kSeeds, error = std::sqrt((squares / kSeeds - mean * mean) / kSeeds);
  CHECK_NEAR(mean, exact, 4 * error);
  CHECK(error < std::abs(exact));
}

}  // namespace warp

TEST_MAIN
