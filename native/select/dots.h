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
// a += factor · b
void add_scaled(double* a, const float* b, size_t count, double factor);

// A sum G before a pick, and the document g that is compared with the pick.
struct Bar {
  double along, norm2;  // ⟨G, v⟩/‖v‖, ‖G‖²
  double slack;         // 2 ⟨G, g⟩ may be so much smaller, by the length of g
  double cosine2;       // the square of the pick's cosine; 0 where it is negative
};
struct Bared {
  double along, norm2, length;
};
// The first step from `from` on, below `end`, at which (A + a)² < β² (‖G‖² + 2 ⟨G, g⟩ + ‖g‖²) is not certain; else
// `end`. product: ⟨G, g⟩ by step.
size_t first_above(const Bar* bars, const Bared& document, const double* product, size_t from, size_t end);

}  // namespace warp
