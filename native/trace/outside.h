#pragma once
// How many texts of each domain, beyond those of the pool, explain which tokens were trained.
#include <vector>

#include "core/context.h"
#include "trace/pool.h"

namespace warp {

// Likelihood of the trained-token pattern in φ_d = log(1 + w_d / (n_d + s)), φ ≥ 0:
//   Σ_{v trained} log(1 - e^{-o_v - η_v}) - Σ_{v not trained} η_v + Z log F - F,
//   η_v = Σ_d a_dv φ_d,  a_dv = k_dv + s μ_dv, less δ where no other domain holds v,  F = Σ_d m_d (e^{δφ_d} - 1) / δ,
// with μ_dv the rate of v in the other domains (Gamma posterior of v's rate in d), o_v what the pool's own members
// explain, Z the trained tokens that no text of the pool holds and m_d the pool's singletons in d. The discount
// δ = n₁ / (n₁ + 2 n₂), n_i the tokens that i texts hold, is Kneser and Ney's for the process of Pitman and Yor, in
// which new tokens come at the rate F and a token is as much rarer than its count: so a vocabulary that grows by a
// power of the texts is continued beyond the pool's size. Tokens whose state is unknown are left out.
class Outside {
 public:
  enum State : uint8_t { kUntrained = 0, kTrained = 1, kUnknown = 2 };

  // pull: empty, or by token what a score tells instead of a state: 1 - p(score | untrained) / p(score | trained), 1
  // for a trained token, 0 for one that nothing is known of, negative for one that looks untrained. States are then
  // ignored.
  Outside(const Counts& counts, const std::vector<uint8_t>& state, double strength,
          const std::vector<double>& pull = {});

  // With scores: how probable each token is to be trained, given what explains it now. Before each `maximise`.
  void weigh(const std::vector<double>& explained);

  // Climbs over φ from where it stands to where it is level (projected Newton, with step halving). explained: o_v by
  // token. Returns the log likelihood. Its time is near-linear in the domains.
  double maximise(const std::vector<double>& explained, const Context& context);
  double likelihood(const std::vector<double>& phi, const std::vector<double>& explained) const;

  std::vector<double> exposures() const;   // η_v by token
  double texts(uint32_t domain) const;    // w_d
  double fresh() const { return fresh_; }  // Z
  std::vector<double> phi;

 private:
  struct Slope {
    std::vector<double> gradient;
    std::vector<double> hessian;  // negated, D × D; of few domains only
    std::vector<double> bend;     // else by trained token what it has of the curvature along a_v, and the diagonal
    std::vector<double> diagonal;
    std::vector<double> rise;  // of F by φ_d
    double fresh_curvature = 0;  // Z / F²
  };
  Slope slope(const std::vector<double>& explained) const;
  void add_new_tokens(Slope& slope) const;
  // The negated Hessian of many domains times x, in the time of one look at every token of every domain.
  std::vector<double> times(const Slope& slope, const std::vector<double>& x) const;
  // Solves for a step on the free coordinates by conjugate gradients.
  std::vector<double> solve_many(const Slope& slope, const std::vector<size_t>& free, const Context& context) const;
  double exposure(uint32_t token, const std::vector<double>& phi, double shared) const;
  double shared(const std::vector<double>& phi) const;
  double new_tokens(const std::vector<double>& phi) const;  // F

  const Counts& counts_;
  double strength_;
  std::vector<double> borrow_;     // s / (texts of the other domains), by domain
  std::vector<double> weight_;     // a_dv less total_v borrow_d, of the counts' entries
  std::vector<double> cost_;       // Σ a_dv over untrained tokens
  std::vector<uint32_t> trained_;  // tokens
  std::vector<double> chance_;     // of each of these to be trained: 1, or as `weigh` finds it
  const std::vector<double>* pull_ = nullptr;
  std::vector<uint32_t> absent_;  // tokens with a score that no text holds
  double fresh_ = 0, discount_ = 0;
};

}  // namespace warp
