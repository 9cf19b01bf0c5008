#include "select/candidates.h"

#include <algorithm>
#include <utility>

#include "select/dots.h"

namespace warp {
namespace {

size_t width_of(const std::vector<Factors>& pieces) {
  size_t width = 0;
  for (const Factors& p : pieces) width += p.u_size + p.w_size;
  return width;
}

}  // namespace

FactoredCandidates::FactoredCandidates(std::vector<Factors> pieces)
    : pieces_(std::move(pieces)), width_(width_of(pieces_)), rows_(width_) {
  uint32_t longest = 0;
  for (const Factors& p : pieces_) {
    size_ += p.u_size == 0 ? p.w_size : size_t(p.u_size) * (p.w_size + 1);
    longest = std::max({longest, p.u_size, p.w_size});
  }
  // two products of at most `longest` numbers, their factors' sum and product, a sum that was rounded
  quick_error_ = 2 * (double(longest) / 16 + 24) * 0x1p-24;
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

double FactoredCandidates::quick_against(const float* sum, size_t i) const {
  const RowView row = rows_.row(i);
  double total = 0;
  for (const Factors& p : pieces_) {
    const float *u = row + p.u, *w = row + p.w;
    if (p.u_size == 0) {
      total += double(quick_dot(sum, w, p.w_size));
      sum += p.w_size;
    }
    const size_t stride = size_t(p.w_size) + 1;
    for (size_t r = 0; r < p.u_size;) {
      const bool several = r + kFormRows <= p.u_size;
      total += several ? double(quick_form(u + r, sum, stride, w, p.w_size))
                       : double(u[r]) * double(quick_dot(sum, w, p.w_size));
      for (size_t end = r + (several ? kFormRows : 1); r < end; r++, sum += stride)
        total += double(u[r]) * double(sum[p.w_size]);
    }
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

double SparseCandidates::quick_against(const float* sum, size_t i) const {
  double total = 0;
  for (uint64_t a = offsets_[i]; a < offsets_[i + 1]; a++) total += double(sum[index_[a]]) * double(value_[a]);
  return total;
}

void SparseCandidates::add(double* sum, size_t i, double weight) const {
  for (uint64_t a = offsets_[i]; a < offsets_[i + 1]; a++) sum[index_[a]] += weight * double(value_[a]);
}

}  // namespace warp
