#include "trace/rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "trace/row_kernels.h"
#include "trace/table.h"

namespace warp {

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

  const uint64_t columns = right.columns, step = std::max<uint64_t>(1, kTableBlock / std::max<uint64_t>(1, columns));
  const float alpha = float(request.alpha);
  const RowKernels& kernels = row_kernels();
  struct Scratch {
    TableBlock base, reference;
  };
  std::vector<Scratch> scratch(size_t(threads.count()));
  std::vector<RowSums> sums(count);
  std::atomic<uint64_t> done{0};
  threads.parallel(size_t((count + step - 1) / step), [&](size_t task, int worker) {
    TableBlock& base_block = scratch[size_t(worker)].base;
    TableBlock& reference_block = scratch[size_t(worker)].reference;
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
