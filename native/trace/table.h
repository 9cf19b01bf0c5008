#pragma once
// Rows of a stored table, read in blocks.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/error.h"
#include "files/weights.h"

namespace warp {

// Elements that a thread reads at once: enough that the system reads ahead in large pieces by itself (asked to by
// posix_fadvise it takes single pages, at half the speed), few enough to be still in a cache when they are summed.
constexpr uint64_t kTableBlock = 1 << 18;

struct Table {
  const Weights& weights;
  const std::string& name;
  Dtype dtype;
  uint64_t rows, columns;

  Table(const Weights& weights, const std::string& name) : weights(weights), name(name) {
    const TensorInfo& info = weights.info(name);
    if (info.shape.size() != 2) throw internal_error(name + " is no table");
    dtype = info.dtype;
    rows = info.shape[0];
    columns = info.shape[1];
  }
  // `count` rows, from `first` on or as listed
  void read(const uint32_t* list, uint64_t first, size_t count, char* to) const {
    if (!list) return weights.read(name, first * columns, count * columns, to);
    for (size_t i = 0; i < count; i++)
      weights.read(name, uint64_t(list[i]) * columns, columns, to + i * columns * dtype_size(dtype));
  }
};

// Some rows of a table as stored, but float64 as float32.
struct TableBlock {
  Dtype dtype = Dtype::kF32;

  void read(const Table& table, const uint32_t* list, uint64_t first, size_t count, uint64_t most) {
    const size_t elements = size_t(most * table.columns);
    if (stored_.size() == 0) stored_ = Buffer<char>(elements * dtype_size(table.dtype));
    columns_ = size_t(table.columns);
    dtype = table.dtype;
    table.read(list, first, count, stored_.data());
    if (dtype != Dtype::kF64) return;
    if (floats_.size() == 0) floats_ = Buffer<float>(elements);
    to_float(Dtype::kF64, stored_.data(), count * columns_, floats_.data());
    dtype = Dtype::kF32;
  }
  const char* row(size_t row) const {
    const char* begin = floats_.size() > 0 ? reinterpret_cast<const char*>(floats_.data()) : stored_.data();
    return begin + row * columns_ * dtype_size(dtype);
  }
  bool finite(size_t row) const {
    std::vector<float> values(columns_);
    to_float(dtype, this->row(row), columns_, values.data());
    return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  }

 private:
  size_t columns_ = 0;
  Buffer<char> stored_;
  Buffer<float> floats_;
};

}  // namespace warp
