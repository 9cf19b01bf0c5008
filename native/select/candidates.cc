#include "select/candidates.h"

#include <utility>

namespace warp {
namespace {

// Compiled once per instruction set where the compiler can do that by itself; without contraction, so the bits are the
// same. Not under the thread sanitizer: what chooses among them runs before the sanitizer has started.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__)
#define WARP_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define WARP_EACH_ISA
#endif

// Sixteen sums side by side, added up in a fixed order.
constexpr size_t kLanes = 16;

double total(const double* lanes) {
  double sum = 0;
  for (size_t l = 0; l < kLanes; l++) sum += lanes[l];
  return sum;
}

WARP_EACH_ISA double dot(const float* a, const float* b, size_t count) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] += double(a[i + l]) * double(b[i + l]);
  for (size_t l = 0; i < count; i++, l++) lanes[l] += double(a[i]) * double(b[i]);
  return total(lanes);
}

WARP_EACH_ISA double dot(const double* a, const float* b, size_t count) {
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] += a[i + l] * double(b[i + l]);
  for (size_t l = 0; i < count; i++, l++) lanes[l] += a[i] * double(b[i]);
  return total(lanes);
}

}  // namespace

FactoredCandidates::FactoredCandidates(std::vector<Factors> pieces) : pieces_(std::move(pieces)) {
  for (const Factors& piece : pieces_) {
    width_ += piece.u_size + piece.w_size;
    size_ += size_t(piece.u_size) * (piece.w_size + 1);
  }
}

double FactoredCandidates::product(size_t i, size_t j) const {
  const float *a = row(i), *b = row(j);
  double sum = 0;
  for (const Factors& p : pieces_) sum += dot(a + p.u, b + p.u, p.u_size) * (dot(a + p.w, b + p.w, p.w_size) + 1);
  return sum;
}

double FactoredCandidates::against(const double* sum, size_t i) const {
  double total = 0;
  for (const Factors& p : pieces_) {
    const float *u = row(i) + p.u, *w = row(i) + p.w;
    for (size_t r = 0; r < p.u_size; r++, sum += p.w_size + 1)
      total += double(u[r]) * (dot(sum, w, p.w_size) + sum[p.w_size]);
  }
  return total;
}

void FactoredCandidates::add(double* sum, size_t i, double weight) const {
  for (const Factors& p : pieces_) {
    const float *u = row(i) + p.u, *w = row(i) + p.w;
    for (size_t r = 0; r < p.u_size; r++, sum += p.w_size + 1) {
      const double factor = weight * double(u[r]);
      for (size_t j = 0; j < p.w_size; j++) sum[j] += factor * double(w[j]);
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

void SparseCandidates::add(double* sum, size_t i, double weight) const {
  for (uint64_t a = offsets_[i]; a < offsets_[i + 1]; a++) sum[index_[a]] += weight * double(value_[a]);
}

}  // namespace warp
