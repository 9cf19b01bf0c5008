#include "select/candidates.h"

#include <algorithm>
#include <utility>

#include "select/dots.h"
#include "select/panels.h"

namespace warp {
namespace {

size_t width_of(const std::vector<Factors>& pieces) {
  size_t width = 0;
  for (const Factors& p : pieces) width += p.u_size + p.w_size;
  return width;
}

// Of an inner product of `count` numbers, in units of 2⁻²⁴ of the lengths: by lanes (quick_dot), or by parts.
double rounding(size_t count) {
  const double parts = double(count) / double(kPanelPart) + 2, part = double(std::min(count, kPanelPart)) + 1;
  return std::max(double(count) / 16 + 17, parts + part);
}

}  // namespace

FactoredCandidates::FactoredCandidates(std::vector<Factors> pieces)
    : pieces_(std::move(pieces)), rows_(width_of(pieces_)) {
  for (const Factors& p : pieces_) {
    size_ += p.u_size == 0 ? p.w_size : size_t(p.u_size) * (p.w_size + 1);
    quick_error_ = std::max(quick_error_, rounding(p.u_size) + rounding(p.w_size));
  }
  // the 1, the product of both factors, the sum of the pieces; second orders
  quick_error_ = 1.01 * (quick_error_ + double(pieces_.size()) + 4) * 0x1p-24;
}

double FactoredCandidates::product(size_t i, size_t j) const {
  const RowView a = rows_.row(i), b = rows_.row(j);
  double sum = 0;
  for (const Factors& p : pieces_) {
    const double inner = dot(a + p.w, b + p.w, p.w_size);
    sum += p.u_size == 0 ? inner : dot(a + p.u, b + p.u, p.u_size) * (inner + 1);
  }
  return sum;
}

double FactoredCandidates::quick_product(size_t i, size_t j) const {
  const RowView a = rows_.row(i), b = rows_.row(j);
  double sum = 0;
  for (const Factors& p : pieces_) {
    const double inner = quick_dot(a + p.w, b + p.w, p.w_size);
    sum += p.u_size == 0 ? inner : quick_dot(a + p.u, b + p.u, p.u_size) * (inner + 1);
  }
  return sum;
}

double FactoredCandidates::against(const double* sum, size_t i) const {
  const RowView row = rows_.row(i);
  double total = 0;
  for (const Factors& p : pieces_) {
    const float *u = row + p.u, *w = row + p.w;
    if (p.u_size == 0) {
      total += dot(sum, w, p.w_size);
      sum += p.w_size;
    }
    for (size_t r = 0; r < p.u_size; r++, sum += p.w_size + 1)
      total += double(u[r]) * (dot(sum, w, p.w_size) + sum[p.w_size]);
  }
  return total;
}

void FactoredCandidates::add(double* sum, size_t i, double weight) const {
  const RowView row = rows_.row(i);
  for (const Factors& p : pieces_) {
    const float *u = row + p.u, *w = row + p.w;
    if (p.u_size == 0) {
      add_scaled(sum, w, p.w_size, weight);
      sum += p.w_size;
    }
    for (size_t r = 0; r < p.u_size; r++, sum += p.w_size + 1) {
      const double factor = weight * double(u[r]);
      add_scaled(sum, w, p.w_size, factor);
      sum[p.w_size] += factor;
    }
  }
}

std::unique_ptr<Candidates> FactoredCandidates::some(const std::vector<uint32_t>& documents) const {
  auto copy = std::make_unique<FactoredCandidates>(pieces_);
  for (uint32_t i : documents) copy->rows_.append(rows_.row(i), 1);
  return copy;
}

std::unique_ptr<Panel> FactoredCandidates::panel(const std::vector<uint32_t>& others) const {
  return std::make_unique<FactoredPanel>(pieces_, rows_, others);
}

void SparseCandidates::append(const uint32_t* offsets, size_t count, const uint32_t* index, const float* value) {
  const uint64_t before = offsets_.back();
  for (size_t i = 0; i < count; i++) offsets_.push_back(before + offsets[i + 1]);
  index_.insert(index_.end(), index, index + offsets[count]);
  value_.insert(value_.end(), value, value + offsets[count]);
}

double SparseCandidates::product(size_t i, size_t j) const {
  double sum = 0;
  for (uint64_t a = offsets_[i], b = offsets_[j]; a < offsets_[i + 1] && b < offsets_[j + 1];) {
    if (index_[a] < index_[b]) a++;
    else if (index_[b] < index_[a]) b++;
    else sum += double(value_[a++]) * double(value_[b++]);
  }
  return sum;
}

double SparseCandidates::against(const double* sum, size_t i) const {
  double total = 0;
  for (uint64_t a = offsets_[i]; a < offsets_[i + 1]; a++) total += sum[index_[a]] * double(value_[a]);
  return total;
}

std::unique_ptr<Candidates> SparseCandidates::some(const std::vector<uint32_t>& documents) const {
  auto copy = std::make_unique<SparseCandidates>(size_);
  for (uint32_t i : documents) {
    const uint32_t own[2] = {0, uint32_t(offsets_[i + 1] - offsets_[i])};
    copy->append(own, 1, index_.data() + offsets_[i], value_.data() + offsets_[i]);
  }
  return copy;
}

std::unique_ptr<Panel> SparseCandidates::panel(const std::vector<uint32_t>& others) const {
  return std::make_unique<SparsePanel>(SparseRows{offsets_.data(), index_.data(), value_.data()}, size_, others);
}

void SparseCandidates::add(double* sum, size_t i, double weight) const {
  for (uint64_t a = offsets_[i]; a < offsets_[i + 1]; a++) sum[index_[a]] += weight * double(value_[a]);
}

}  // namespace warp
