#include "select/sketch.h"

#include "core/random.h"

namespace warp {

Buckets::Buckets(uint64_t seed, const std::string& name, size_t coordinates, size_t buckets)
    : bucket_(coordinates), sign_(coordinates) {
  const Random random(seed, name);
  for (size_t i = 0; i < coordinates; i++) {
    const uint32_t word = random.word(i);
    bucket_[i] = uint16_t(word & (buckets - 1));
    sign_[i] = word >> 31 ? -1.0f : 1.0f;
  }
}

void Buckets::add(const float* values, size_t first, size_t count, float* to) const {
  const uint16_t* bucket = bucket_.data() + first;
  const float* sign = sign_.data() + first;
  for (size_t i = 0; i < count; i++) to[bucket[i]] += sign[i] * values[i];
}

SketchShape::SketchShape(size_t size) {
  for (bool wide = true; rows * columns < size; wide = !wide) (wide ? columns : rows) *= 2;
}

void add_outer(const SketchShape& shape, const float* a, const float* b, float* to) {
  for (size_t r = 0; r < shape.rows; r++, to += shape.columns)
    for (size_t c = 0; c < shape.columns; c++) to[c] += a[r] * b[c];
}

}  // namespace warp
