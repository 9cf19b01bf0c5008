#include "trace/directions.h"

#include <atomic>
#include <cmath>

#include "core/error.h"
#include "trace/table.h"

namespace warp {
namespace {

constexpr size_t kRows = 64;  // that a thread takes at once

struct Scratch {
  TableBlock base, reference;
  std::vector<float> left, right;
};

}  // namespace

std::vector<double> row_directions(const Weights& base, const Weights& reference, const DirectionsRequest& request,
                                   Threads& threads, Context& context) {
  const Table left(base, request.name), right(reference, request.name);
  if (left.columns != right.columns || left.rows != right.rows) throw internal_error("tables of different shape");
  const size_t width = size_t(right.columns), rows = request.rows.size(), count = request.directions.size() / width;
  if (request.directions.size() != count * width) throw internal_error("directions of another length");
  for (uint32_t row : request.rows)
    if (row >= right.rows) throw internal_error("row out of range");
  std::vector<double> cosines(rows * count, 0.0);
  std::vector<Scratch> scratch(size_t(threads.count()));
  std::atomic<uint64_t> done{0};
  threads.parallel((rows + kRows - 1) / kRows, [&](size_t task, int worker) {
    const size_t first = task * kRows, some = std::min(kRows, rows - first);
    Scratch& own = scratch[size_t(worker)];
    own.base.read(left, request.rows.data() + first, first, some, kRows);
    own.reference.read(right, request.rows.data() + first, first, some, kRows);
    own.left.resize(kRows * width);
    own.right.resize(kRows * width);
    to_float(own.base.dtype, own.base.row(0), some * width, own.left.data());
    to_float(own.reference.dtype, own.reference.row(0), some * width, own.right.data());
    std::vector<double> moved(width);
    for (size_t i = 0; i < some; i++) {
      double norm2 = 0;
      for (size_t j = 0; j < width; j++) {
        moved[j] = double(own.right[i * width + j]) - (1 + request.alpha) * double(own.left[i * width + j]);
        norm2 += moved[j] * moved[j];
      }
      for (size_t d = 0; d < count && norm2 > 0; d++) {
        double sum = 0;
        for (size_t j = 0; j < width; j++) sum += moved[j] * double(request.directions[d * width + j]);
        cosines[(first + i) * count + d] = sum / std::sqrt(norm2);
      }
    }
    context.progress(double(done += some), double(rows));
  });
  return cosines;
}

}  // namespace warp
