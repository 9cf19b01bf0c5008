#include "trace/rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "core/buffer.h"

namespace warp {
namespace {

constexpr uint64_t kBlock = 1 << 16;  // elements; the blocks of a thread stay in its second-level cache
constexpr size_t kLanes = 8;
constexpr uint32_t kSmallest = uint32_t(127 - 14) << 23;  // exponent of 2^-14, where half's spacing stops shrinking

int fraction_bits(Dtype dtype) { return dtype == Dtype::kF16 ? 10 : dtype == Dtype::kBF16 ? 7 : 23; }

// 1 / spacing at |value|, for a dtype with as many fraction bits as `two_to_bits` is a power of two.
inline float inverse_spacing(float value, float two_to_bits) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits &= 0x7f800000u;
  bits = (uint32_t(254) << 23) - (bits > kSmallest ? bits : kSmallest);
  float inverse;
  std::memcpy(&inverse, &bits, 4);
  return inverse * two_to_bits;
}

struct Lanes {
  double residual2[kLanes] = {}, product[kLanes] = {}, base2[kLanes] = {};
  double error2[kLanes] = {}, cross[kLanes] = {}, scale2[kLanes] = {};
  float max_error[kLanes] = {};

  void take(float base, float reference, float alpha, float two_to_bits, size_t lane) {
    const float inverse = inverse_spacing(reference, two_to_bits);
    const float residual = (reference - base) - alpha * base;
    const float error = residual * inverse, scale = base * inverse, size = std::fabs(error);
    residual2[lane] += double(residual) * residual;
    product[lane] += double(residual) * base;
    base2[lane] += double(base) * base;
    error2[lane] += double(error) * error;
    cross[lane] += double(error) * scale;
    scale2[lane] += double(scale) * scale;
    max_error[lane] = size > max_error[lane] ? size : max_error[lane];
  }
};

void add_row(const float* base, const float* reference, size_t count, float alpha, float two_to_bits, RowSums& sums) {
  Lanes lanes;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; lane++) lanes.take(base[i + lane], reference[i + lane], alpha, two_to_bits, lane);
  for (; i < count; i++) lanes.take(base[i], reference[i], alpha, two_to_bits, 0);
  for (size_t lane = 0; lane < kLanes; lane++) {
    sums.residual2 += lanes.residual2[lane];
    sums.product += lanes.product[lane];
    sums.base2 += lanes.base2[lane];
    sums.error2 += lanes.error2[lane];
    sums.cross += lanes.cross[lane];
    sums.scale2 += lanes.scale2[lane];
    sums.max_error = std::max(sums.max_error, double(lanes.max_error[lane]));
  }
  if (!std::isfinite(sums.base2)) sums.non_finite = 1;
  else if (!std::isfinite(sums.residual2)) sums.non_finite = 2;
}

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
  const float alpha = float(request.alpha), two_to_bits = std::ldexp(1.0f, fraction_bits(right.dtype));
  struct Scratch {
    Buffer<char> base, reference;
    Buffer<float> base_values, reference_values;
  };
  std::vector<Scratch> scratch(size_t(threads.count()));
  std::vector<RowSums> sums(count);
  std::atomic<uint64_t> done{0};
  threads.parallel(size_t((count + step - 1) / step), [&](size_t task, int worker) {
    Scratch& own = scratch[size_t(worker)];
    if (own.base_values.size() == 0) {
      own.base = Buffer<char>(size_t(step * columns) * dtype_size(left.dtype));
      own.reference = Buffer<char>(size_t(step * columns) * dtype_size(right.dtype));
      own.base_values = Buffer<float>(size_t(columns));
      own.reference_values = Buffer<float>(size_t(columns));
    }
    const uint64_t first = task * step;
    const size_t rows = size_t(std::min(step, count - first));
    left.read(left_rows ? left_rows + first : nullptr, first, rows, own.base.data());
    right.read(right_rows ? right_rows + first : nullptr, first, rows, own.reference.data());
    for (size_t row = 0; row < rows; row++) {
      const size_t at = row * size_t(columns);
      to_float(left.dtype, own.base.data() + at * dtype_size(left.dtype), size_t(columns), own.base_values.data());
      to_float(right.dtype, own.reference.data() + at * dtype_size(right.dtype), size_t(columns), own.reference_values.data());
      add_row(own.base_values.data(), own.reference_values.data(), size_t(columns), alpha, two_to_bits, sums[first + row]);
    }
    context.progress(double(done += rows), double(count));
  });
  return sums;
}

}  // namespace warp
