#pragma once
// Per-domain mean gradients of the head (and dense) over a path, and what the readouts need of them: inner
// products with each other, with the displacement and with every probe's own gradient.
#include "scoring/head.h"

namespace warp {

// A_d = Ḡ_d / u^q element-wise; Ḡ_d the mean over the domain's probes and the path's points, u the root mean
// square over domains and points of Ḡ_{d,k}; where u is zero so is A. See design: gradient matching, projection.
struct GradientStatistics {
  Scope scope;
  double q;
  std::vector<double> gram;          // domains × domains: ⟨A_d, A_d'⟩
  std::vector<double> displacement;  // domains: ⟨A_d, δ⟩, δ = reference − base of the scope
  double displacement_norm2;
  // texts × (domains + 2): ⟨g_i, A_d'⟩ …, ⟨g_i, δ⟩, ‖g_i‖², g_i = the probe's mean / u^q
  std::vector<double> per_probe;
};

// For every scope the model has and q = 0 and 1. Bytes held: gradient_bytes.
std::vector<GradientStatistics> gradient_statistics(const Head& head, const Path& path, const Buffer<float>& features,
                                                    size_t texts, const std::vector<int32_t>& label,
                                                    const std::vector<int32_t>& domain, size_t domains,
                                                    Threads& threads, Context& context);

uint64_t gradient_bytes(const Program& program, size_t texts, size_t domains, size_t points, int threads);

}  // namespace warp
