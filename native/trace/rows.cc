#include "trace/rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/buffer.h"
#include "trace/row_kernels.h"

namespace warp {
namespace {

// Elements that a thread reads at once: enough that the system reads ahead in large pieces by itself (asked to by
// posix_fadvise it takes single pages, at half the speed), few enough to be still in a cache when they are summed.
constexpr uint64_t kBlock = 1 << 18;

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
struct Block {
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

}  // namespace

std::vector<RowSums> row_sums(const Weights& base, const Weights& reference, const RowRequest& request,
                              Threads& threads, Context& context) {
  const Table left(base, request.base), right(reference, request.reference);
  if (left.columns != right.columns) throw internal_error("tables of different width");
  const bool listed = !request.rows.empty(), mapped = !request.base_rows.empty();
  const uint64_t count = listed ? request.rows.size() : right.rows;
  if (mapped && request.base_rows.size() != count) throw internal_error("one base row for each row");
  if (!mapped && !listed && left.rows < right.rows) throw internal_error("the base has fewer rows");
  const uint32_t* left_rows = mapped ? request.base_rows.data() : listed ? request.rows.data() : nullptr;
  const uint32_t* right_rows = listed ? request.rows.data() : nullptr;

  const uint64_t columns = right.columns, step = std::max<uint64_t>(1, kBlock / std::max<uint64_t>(1, columns));
  const float alpha = float(request.alpha);
  const RowKernels& kernels = row_kernels();
  struct Scratch {
    Block base, reference;
  };
  std::vector<Scratch> scratch(size_t(threads.count()));
  std::vector<RowSums> sums(count);
  std::atomic<uint64_t> done{0};
  threads.parallel(size_t((count + step - 1) / step), [&](size_t task, int worker) {
    Block& base_block = scratch[size_t(worker)].base;
    Block& reference_block = scratch[size_t(worker)].reference;
    const uint64_t first = task * step;
    const size_t rows = size_t(std::min(step, count - first));
    base_block.read(left, left_rows ? left_rows + first : nullptr, first, rows, step);
    reference_block.read(right, right_rows ? right_rows + first : nullptr, first, rows, step);
    for (size_t row = 0; row < rows; row++) {
      const char *b = base_block.row(row), *r = reference_block.row(row);
      RowSums& found = sums[first + row];
      found = kernels.sums(base_block.dtype, b, reference_block.dtype, r, size_t(columns), alpha);
      if (std::isfinite(found.base2) && std::isfinite(found.residual2)) continue;
      found.non_finite = base_block.finite(row) ? reference_block.finite(row) ? 0 : 2 : 1;
    }
    context.progress(double(done += rows), double(count));
  });
  return sums;
}

}  // namespace warp
