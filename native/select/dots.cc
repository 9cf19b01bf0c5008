#include "select/dots.h"

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
constexpr size_t kLanes = 16, kQuickLanes = 64;

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

WARP_EACH_ISA void add_scaled(double* a, const float* b, size_t count, double factor) {
  for (size_t i = 0; i < count; i++) a[i] += factor * double(b[i]);
}

WARP_EACH_ISA size_t first_above(const Bar* bars, const Bared& document, const double* product, size_t from,
                                 size_t end) {
  constexpr size_t kSteps = 16;
  for (; from < end; from += kSteps) {
    const size_t count = end - from < kSteps ? end - from : kSteps;
    uint8_t above[kSteps] = {};
    for (size_t l = 0; l < count; l++) {
      const Bar& bar = bars[from + l];
      const double along = bar.along + document.along;
      const double norm2 = bar.norm2 + document.norm2 + 2 * product[from + l] - bar.slack * document.length;
      above[l] = !(along * along < bar.cosine2 * norm2);
    }
    for (size_t l = 0; l < count; l++)
      if (above[l]) return from + l;
  }
  return end;
}

}  // namespace warp
