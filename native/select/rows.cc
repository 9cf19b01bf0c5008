#include "select/rows.h"

#include <algorithm>

#include "select/dots.h"

namespace warp {
namespace {

constexpr size_t kStretchBytes = size_t(16) << 20;
constexpr uint32_t kNowhere = uint32_t(-1);

}  // namespace

void RowStore::append(const float* rows, size_t count) {
  rows_.insert(rows_.end(), rows, rows + count * width_);
  count_ += count;
}

void RowStore::append_file(const std::string& path, uint64_t offset, size_t count) {
  files_.push_back(std::make_unique<Part>(path, offset, count_, count));
  count_ += count;
  slot_.resize(count_, kNowhere);
  pin_.resize(count_, nullptr);
}

const float* RowStore::find(size_t i) const {
  if (files_.empty()) return rows_.data() + i * width_;
  if (i - stretch_first_ < stretch_count_) return stretch_.data() + (i - stretch_first_) * width_;
  if (pin_[i]) return pin_[i];
  return slot_[i] == kNowhere ? nullptr : kept_.data() + size_t(slot_[i]) * width_;
}

RowView RowStore::row(size_t i) const {
  if (const float* there = find(i)) return RowView(there);
  std::vector<float> own(width_);
  read(i, 1, own.data());
  return RowView(std::move(own));
}

void RowStore::expect(size_t i) const {
  if (const float* there = find(i)) prefetch(there, width_);
}

void RowStore::read(size_t first, size_t count, float* to) const {
  auto part = std::upper_bound(files_.begin(), files_.end(), first,
                               [](size_t row, const std::unique_ptr<Part>& one) { return row < one->first; });
  for (part--; count > 0; part++) {
    const size_t skip = first - (*part)->first, here = std::min(count, (*part)->count - skip);
    const uint64_t bytes = width_ * sizeof(float);
    (*part)->file.read((*part)->offset + skip * bytes, here * bytes, to, "rows of gradients");
    first += here;
    count -= here;
    to += here * width_;
  }
}

void RowStore::keep(std::vector<uint32_t> rows) {
  if (files_.empty()) return;
  if (rows.size() > room_) rows.resize(room_);
  std::sort(rows.begin(), rows.end());
  wanted_ = std::move(rows);
}

void RowStore::pin(size_t i) {
  if (files_.empty() || pin_[i]) return;
  auto own = std::make_unique<float[]>(width_);
  const RowView there = row(i);
  std::copy_n(static_cast<const float*>(there), width_, own.get());
  pin_[i] = own.get();
  pinned_.push_back(std::move(own));
}

void RowStore::stream(const std::function<void(size_t first, size_t count)>& body) {
  if (files_.empty()) {
    body(0, count_);
    return;
  }
  std::fill(slot_.begin(), slot_.end(), kNowhere);
  kept_.resize(wanted_.size() * width_);
  const size_t step = std::max<size_t>(1, kStretchBytes / (width_ * sizeof(float)));
  size_t next = 0;
  for (size_t first = 0; first < count_; first += step) {
    const size_t here = std::min(step, count_ - first);
    stretch_count_ = 0;
    stretch_.resize(here * width_);
    read(first, here, stretch_.data());
    stretch_first_ = first;
    stretch_count_ = here;
    body(first, here);
    for (; next < wanted_.size() && wanted_[next] < first + here; next++) {
      slot_[wanted_[next]] = uint32_t(next);
      std::copy_n(stretch_.data() + (wanted_[next] - first) * width_, width_, kept_.data() + next * width_);
    }
  }
  stretch_count_ = 0;
}

uint64_t RowStore::bytes() const {
  return (rows_.size() + kept_.size() + stretch_.size() + pinned_.size() * width_) * sizeof(float) +
         slot_.size() * (sizeof(uint32_t) + sizeof(const float*));
}

}  // namespace warp
