#pragma once
// Which token comes next: one row of logits, or two for contrastive sampling, and one uniform number.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace warp {

struct SampleOptions {
  double temperature = 1;  // 0: the largest
  size_t top_k = 0;        // 0: all
  double top_p = 1;
  double contrast = 0, floor = 0;  // used where there are logits of the base
};

struct Sampled {
  uint32_t token = 0;
  double log_probability = 0, base_log_probability = 0;  // of the models themselves: no temperature, nothing left out
};

// Tokens are ordered by score s, larger first, then by id. s = z, or of two models s = z + contrast (z − z₀) for the
// tokens with p ≥ floor · max p alone. temperature 0: the first. Else weights e^(s / temperature) of the first top_k;
// of these the fewest, in order, that have at least top_p of their sum; of the rest the first, by id, at which the
// running sum exceeds uniform · sum. All in double. Throws LOGITS_NOT_FINITE.
class Sampler {
 public:
  Sampler(const SampleOptions& options, size_t vocabulary);
  // base: null for one model. uniform: in [0, 1)
  Sampled sample(const float* logits, const float* base, double uniform);
  // Of each sampler: bytes.
  static uint64_t bytes(size_t vocabulary) { return vocabulary * (sizeof(Candidate) + sizeof(double)); }

 private:
  struct Candidate {
    double score, weight;
    uint32_t id;
    bool operator<(const Candidate& o) const { return score > o.score || (score == o.score && id < o.id); }
  };
  void find_candidates(const float* logits, const float* base, double top);
  void keep_largest();
  void keep_mass();
  uint32_t draw(double uniform);

  const SampleOptions o_;
  const size_t size_;
  std::vector<double> exps_;
  std::vector<Candidate> candidates_;
};

// log Σ e^z in double. Throws LOGITS_NOT_FINITE.
double log_sum(size_t size, const float* logits);

}  // namespace warp
