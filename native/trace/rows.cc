#include "trace/rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "core/buffer.h"

// vectors never cross a call that is not inlined, so how they would be passed does not matter
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

// inlined into functions compiled for another instruction set
#define WARP_INLINE inline __attribute__((always_inline))

namespace warp {
namespace {

constexpr uint64_t kBlock = 1 << 16;  // elements; the blocks of a thread stay in its second-level cache
constexpr size_t kLanes = 8;
constexpr uint32_t kSmallest = uint32_t(127 - 14) << 23;  // exponent of 2^-14, where half's spacing stops shrinking

int fraction_bits(Dtype dtype) { return dtype == Dtype::kF16 ? 10 : dtype == Dtype::kBF16 ? 7 : 23; }

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef double Doubles __attribute__((vector_size(4 * kLanes)));  // half as many

struct Lanes {
  Doubles residual2[2] = {}, product[2] = {}, base2[2] = {}, error2[2] = {}, cross[2] = {}, scale2[2] = {};
  Floats max_error = {};
};

// 1 / spacing at each |value|, for a dtype with as many fraction bits as `two_to_bits` is a power of two.
WARP_INLINE Floats inverse_spacing(Floats value, float two_to_bits) {
  Words bits = (Words)value & 0x7f800000u;
  bits = bits > kSmallest ? bits : bits - bits + kSmallest;
  return (Floats)((uint32_t(254) << 23) - bits) * two_to_bits;
}

WARP_INLINE Doubles widen(Floats values, int half) {
  Doubles wide;
  for (size_t k = 0; k < kLanes / 2; k++) wide[k] = values[half * (kLanes / 2) + k];
  return wide;
}

// One body for every instruction set: kLanes columns at a time, each lane in its own sums, the same bits everywhere.
WARP_INLINE void add_columns(const float* base, const float* reference, size_t count, float alpha, float two_to_bits,
                             Lanes& lanes) {
  Lanes sums = lanes;
  for (size_t i = 0; i + kLanes <= count; i += kLanes) {
    Floats b, r;
    std::memcpy(&b, base + i, sizeof b);
    std::memcpy(&r, reference + i, sizeof r);
    const Floats inverse = inverse_spacing(r, two_to_bits);
    const Floats residual = (r - b) - alpha * b, error = residual * inverse, scale = b * inverse;
    const Floats size = error < 0 ? -error : error;
    sums.max_error = size > sums.max_error ? size : sums.max_error;
    for (int half = 0; half < 2; half++) {
      const Doubles wr = widen(residual, half), wb = widen(b, half), we = widen(error, half), wt = widen(scale, half);
      sums.residual2[half] += wr * wr;
      sums.product[half] += wr * wb;
      sums.base2[half] += wb * wb;
      sums.error2[half] += we * we;
      sums.cross[half] += we * wt;
      sums.scale2[half] += wt * wt;
    }
  }
  lanes = sums;
}

void columns_portable(const float* base, const float* reference, size_t count, float alpha, float two_to_bits, Lanes& lanes) {
  add_columns(base, reference, count, alpha, two_to_bits, lanes);
}
using Columns = decltype(&columns_portable);

#if defined(__x86_64__)
__attribute__((target("avx2"))) void columns_avx2(const float* base, const float* reference, size_t count, float alpha,
                                                  float two_to_bits, Lanes& lanes) {
  add_columns(base, reference, count, alpha, two_to_bits, lanes);
}
Columns best_columns() { return __builtin_cpu_supports("avx2") ? columns_avx2 : columns_portable; }
#else
Columns best_columns() { return columns_portable; }
#endif

void add_row(const float* base, const float* reference, size_t count, float alpha, float two_to_bits, RowSums& sums) {
  static const Columns columns = best_columns();
  Lanes lanes;
  columns(base, reference, count, alpha, two_to_bits, lanes);
  const size_t rest = count % kLanes;  // padded with zeros, which add nothing
  if (rest > 0) {
    float base_rest[kLanes] = {}, reference_rest[kLanes] = {};
    std::copy_n(base + count - rest, rest, base_rest);
    std::copy_n(reference + count - rest, rest, reference_rest);
    columns(base_rest, reference_rest, kLanes, alpha, two_to_bits, lanes);
  }
  for (size_t lane = 0; lane < kLanes; lane++) {
    const size_t half = lane / (kLanes / 2), k = lane % (kLanes / 2);
    sums.residual2 += lanes.residual2[half][k];
    sums.product += lanes.product[half][k];
    sums.base2 += lanes.base2[half][k];
    sums.error2 += lanes.error2[half][k];
    sums.cross += lanes.cross[half][k];
    sums.scale2 += lanes.scale2[half][k];
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
