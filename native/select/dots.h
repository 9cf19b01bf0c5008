#pragma once
// Inner products that the choices among documents are made of. The sums in double precision are compiled once per
// instruction set without contraction, so their bits are the same everywhere; those in single precision only screen.
#include <cstddef>
#include <cstdint>

namespace warp {

double dot(const float* a, const float* b, size_t count);
double dot(const double* a, const float* b, size_t count);
// Sums side by side: within (count / 16 + 17) · 2⁻²⁴ · ‖a‖ ‖b‖.
float quick_dot(const float* a, const float* b, size_t count);
// Σ_r u[r] ⟨row r, w⟩ of kFormRows rows that lie `stride` apart: within (count / 16 + 17) · 2⁻²⁴ · ‖u‖ ‖rows‖ ‖w‖.
constexpr size_t kFormRows = 4;
float quick_form(const float* u, const float* rows, size_t stride, const float* w, size_t count);
// a += factor · b
void add_scaled(double* a, const float* b, size_t count, double factor);

// What is known of sixteen documents, and of the sum G of those that were picked. A document's product with G is
// `known` + ⟨coordinates, where⟩, up to reach[seen] · rest + slack · length.
constexpr size_t kScreenLanes = 16, kScreenRank = 16;
struct ScreenBlock {
  float coordinates[kScreenRank][kScreenLanes];  // ⟨b_k, g⟩, b orthonormal
  float along[kScreenLanes], norm2[kScreenLanes], length[kScreenLanes], rest[kScreenLanes], known[kScreenLanes];
  uint32_t seen[kScreenLanes];
};
struct ScreenSum {
  float where[kScreenRank];  // ⟨b_k, G⟩
  const float* reach;        // by pick: how far the rest of G may have gone since then
  float norm2, root;         // ‖G‖², ‖G‖
  float cosine, gap;         // to be beaten: β; β ‖G‖ − ⟨G, v⟩/‖v‖
  float slack;
};
// The bit of each document that may be better than β: (A + a) > β √(‖G‖² + D) is a − β D / (√(‖G‖² + D) + ‖G‖) > gap,
// D = 2 ⟨G, g⟩ + ‖g‖²; rounding is allowed for. `upper`: that left side at its highest.
uint32_t screen(const ScreenBlock& block, const ScreenSum& sum, float* upper);

// Asks for memory that is soon read.
inline void prefetch(const float* row, size_t count) {
#if defined(__GNUC__)
  for (size_t i = 0; i < count; i += 16) __builtin_prefetch(row + i);
#else
  (void)row, (void)count;
#endif
}

}  // namespace warp
