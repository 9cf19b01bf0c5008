#include "select/rows.h"

#include <algorithm>
#include <utility>

namespace warp {
namespace {

constexpr size_t kStretchBytes = size_t(16) << 20;

}  // namespace

void RowStore::append(const float* rows, size_t count) {
  rows_.insert(rows_.end(), rows, rows + count * width_);
  count_ += count;
}

void RowStore::append_file(const std::string& path, uint64_t offset, size_t count) {
  files_.push_back(std::make_unique<Part>(path, offset, count_, count));
  count_ += count;
}

void RowStore::scale(std::vector<double> factors) {
  if (!factors_.empty() || factors.size() != width_) throw internal_error("rows: factors");
  factors_ = std::move(factors);
  multiply(rows_.size() / width_, rows_.data());
}

void RowStore::multiply(size_t count, float* rows) const {
  if (factors_.empty()) return;
  for (size_t i = 0; i < count; i++)
    for (size_t c = 0; c < width_; c++) rows[i * width_ + c] = float(double(rows[i * width_ + c]) * factors_[c]);
}

const float* RowStore::run(size_t first) const {
  return files_.empty() ? rows_.data() + first * width_ : stretch_.data() + (first - stretch_first_) * width_;
}

RowView RowStore::row(size_t i) const {
  if (files_.empty() || i - stretch_first_ < stretch_count_) return RowView(run(i));
  std::vector<float> own(width_);
  read(i, 1, own.data());
  return RowView(std::move(own));
}

void RowStore::read(size_t first, size_t count, float* to) const {
  auto part = std::upper_bound(files_.begin(), files_.end(), first,
                               [](size_t row, const std::unique_ptr<Part>& one) { return row < one->first; });
  for (part--; count > 0; part++) {
    const size_t skip = first - (*part)->first, here = std::min(count, (*part)->count - skip);
    const uint64_t bytes = width_ * sizeof(float);
    (*part)->file.read((*part)->offset + skip * bytes, here * bytes, to, "rows of gradients");
    multiply(here, to);
    first += here;
    count -= here;
    to += here * width_;
  }
}

void RowStore::stream(const std::function<void(size_t first, size_t count)>& body) {
  if (files_.empty()) {
    body(0, count_);
    return;
  }
  const size_t step = std::max<size_t>(1, kStretchBytes / (width_ * sizeof(float)));
  for (size_t first = 0; first < count_; first += step) {
    const size_t here = std::min(step, count_ - first);
    stretch_count_ = 0;
    stretch_.resize(here * width_);
    read(first, here, stretch_.data());
    stretch_first_ = first;
    stretch_count_ = here;
    body(first, here);
  }
  stretch_count_ = 0;
}

uint64_t RowStore::bytes() const { return (rows_.size() + stretch_.size()) * sizeof(float); }

}  // namespace warp
