#include "select/dots.h"

#include <cmath>

namespace warp {
namespace {

// Not under the thread sanitizer: what chooses among the instruction sets runs before the sanitizer has started.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__)
#define WARP_EACH_ISA \
  __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3", "no-math-errno", "no-trapping-math")))
#else
#define WARP_EACH_ISA
#endif

// Sums side by side, added up in a fixed order.
constexpr size_t kLanes = 16, kQuickLanes = 64, kFormLanes = 32;

inline __attribute__((always_inline)) double total(const double* lanes) {
  double sum = 0;
  for (size_t l = 0; l < kLanes; l++) sum += lanes[l];
  return sum;
}

}  // namespace

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

WARP_EACH_ISA float quick_dot(const float* a, const float* b, size_t count) {
  float lanes[kQuickLanes] = {};
  size_t i = 0;
  for (; i + kQuickLanes <= count; i += kQuickLanes)
    for (size_t l = 0; l < kQuickLanes; l++) lanes[l] += a[i + l] * b[i + l];
  for (; i + kLanes <= count; i += kLanes)
    for (size_t l = 0; l < kLanes; l++) lanes[l] += a[i + l] * b[i + l];
  for (size_t l = 0; i < count; i++, l++) lanes[l] += a[i] * b[i];
  for (size_t half = kQuickLanes / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
  return lanes[0];
}

WARP_EACH_ISA float quick_form(const float* u, const float* rows, size_t stride, const float* w, size_t count) {
  const float *a = rows, *b = a + stride, *c = b + stride, *d = c + stride;
  const float ua = u[0], ub = u[1], uc = u[2], ud = u[3];
  float lanes[kFormLanes] = {};
  size_t i = 0;
  for (; i + kFormLanes <= count; i += kFormLanes)
    for (size_t l = 0; l < kFormLanes; l++)
      lanes[l] += (ua * a[i + l] + ub * b[i + l] + uc * c[i + l] + ud * d[i + l]) * w[i + l];
  for (size_t l = 0; i < count; i++, l++) lanes[l] += (ua * a[i] + ub * b[i] + uc * c[i] + ud * d[i]) * w[i];
  for (size_t half = kFormLanes / 2; half > 0; half /= 2)
    for (size_t l = 0; l < half; l++) lanes[l] += lanes[l + half];
  return lanes[0];
}

WARP_EACH_ISA void add_scaled(double* a, const float* b, size_t count, double factor) {
  for (size_t i = 0; i < count; i++) a[i] += factor * double(b[i]);
}

WARP_EACH_ISA uint32_t screen(const ScreenBlock& block, const ScreenSum& sum, float* upper) {
  float product[kScreenLanes], open[kScreenLanes], excess[kScreenLanes];
  for (size_t l = 0; l < kScreenLanes; l++) product[l] = block.known[l];
  for (size_t k = 0; k < kScreenRank; k++)
    for (size_t l = 0; l < kScreenLanes; l++) product[l] += block.coordinates[k][l] * sum.where[k];
  for (size_t l = 0; l < kScreenLanes; l++) open[l] = sum.reach[block.seen[l]];
  const float side = sum.cosine < 0 ? 1.0f : -1.0f;  // the longest sum is the best one below zero
  for (size_t l = 0; l < kScreenLanes; l++) {
    const float far = open[l] * block.rest[l] + sum.slack * block.length[l];
    const float d = 2 * (product[l] + side * far) + block.norm2[l];
    excess[l] = d > -sum.norm2 ? d : -sum.norm2;
  }
  for (size_t l = 0; l < kScreenLanes; l++) {
    const float root = std::sqrt(sum.norm2 + excess[l]);
    upper[l] = block.along[l] - sum.cosine * (excess[l] / (root + sum.root)) + 4e-6f * block.length[l];
  }
  uint32_t bits = 0;
  for (size_t l = 0; l < kScreenLanes; l++) bits |= uint32_t(!(upper[l] < sum.gap)) << l;  // 0 / 0 is looked at too
  return bits;
}

}  // namespace warp
