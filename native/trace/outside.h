#pragma once
// How many texts of each domain, beyond those of the pool, explain which tokens were trained.
#include <vector>

#include "trace/pool.h"

namespace warp {

// Likelihood of the trained-token pattern in φ_d = log(1 + w_d / (n_d + s)), concave on φ ≥ 0:
//   Σ_{v trained} log(1 - e^{-o_v - η_v}) - Σ_{v not trained} η_v + Z log Σ_d m_d φ_d - Σ_d m_d φ_d,
//   η_v = Σ_d (k_dv + s μ_dv) φ_d,  μ_dv the rate of v in the other domains (Gamma posterior of v's rate in d),
// o_v what the pool's own members explain; Z trained tokens that no text of the pool holds, m_d the pool's singletons
// in d (Good-Turing: their rate is that of new tokens). Tokens whose state is unknown are left out.
class Outside {
 public:
  enum State : uint8_t { kUntrained = 0, kTrained = 1, kUnknown = 2 };

  Outside(const Counts& counts, const std::vector<uint8_t>& state, double strength);

  // Maximises over φ from where it stands (projected Newton, with step halving). explained: o_v by token.
  // Returns the log likelihood.
  double maximise(const std::vector<double>& explained);
  double likelihood(const std::vector<double>& phi, const std::vector<double>& explained) const;

  std::vector<double> exposures() const;   // η_v by token
  double texts(uint32_t domain) const;    // w_d
  double fresh() const { return fresh_; }  // Z
  std::vector<double> phi;

 private:
  struct Slope {
    std::vector<double> gradient, hessian;  // of the likelihood; hessian negated, D × D
  };
  Slope slope(const std::vector<double>& explained) const;
  double exposure(uint32_t token, const std::vector<double>& own, double shared) const;
  double shared(const std::vector<double>& phi) const;
  std::vector<double> own(const std::vector<double>& phi) const;

  const Counts& counts_;
  double strength_;
  std::vector<double> borrow_;     // s / (texts of the other domains), by domain
  std::vector<double> cost_;       // Σ of (k_dv + s μ_dv) over untrained tokens, plus m_d
  std::vector<uint32_t> trained_;  // tokens
  double fresh_ = 0;
};

}  // namespace warp
