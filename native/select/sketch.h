#pragma once
// Sketches of sums of outer products: g = Σ a ⊗ b becomes Σ (P a) ⊗ (Q b), where P and Q add up coordinates in few
// buckets with random signs (count sketches: Charikar, Chen, Farach-Colton, 2002), each independent of the other. The
// product of two sketches has the product of the vectors as its mean; sketches of several tensors may be added, since
// their signs are independent.
#include <cstdint>
#include <string>
#include <vector>

namespace warp {

// A count sketch: coordinate i goes to bucket b(i) with sign s(i), numbers of (seed, name, i).
class Buckets {
 public:
  // buckets: a power of two
  Buckets(uint64_t seed, const std::string& name, size_t coordinates, size_t buckets);
  // to += of the coordinates `first` …, as they lie in `values`
  void add(const float* values, size_t first, size_t count, float* to) const;

 private:
  std::vector<uint16_t> bucket_;
  std::vector<float> sign_;
};

// `size` numbers as rows × columns, both powers of two.
struct SketchShape {
  size_t rows = 1, columns = 1;
  explicit SketchShape(size_t size);
  size_t size() const { return rows * columns; }
};

// to += a ⊗ b, a: shape.rows, b: shape.columns
void add_outer(const SketchShape& shape, const float* a, const float* b, float* to);

}  // namespace warp
