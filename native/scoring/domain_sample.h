#pragma once
// Which coordinates of a network's gradients are looked at, and how far they moved.
#include "scoring/domains.h"

namespace warp {

// Where a block's sampled coordinates lie in a gradient.
struct Sampled {
  struct Linear {
    std::vector<uint32_t> outputs;  // that are looked at
    size_t at = 0;                  // of the weight's: outputs × inputs
    std::vector<std::pair<uint32_t, uint32_t>> biases;  // first output, count
    std::vector<size_t> bias_at;
  };
  std::vector<Linear> linears;
  std::vector<std::pair<bool, size_t>> vectors;  // in the scope, at
};

class Sampler {
 public:
  explicit Sampler(const DomainJob& job) : job_(job) {}
  // The coordinates of a block's tensors in the scope, behind those taken before; `group` is what they are counted as.
  Sampled sample(const Block& block, size_t group);
  size_t size() const { return size_; }
  const std::vector<DomainSegment>& segments() const { return segments_; }
  // θ* − θ₀ of a block's coordinates, written to their places in `delta`.
  void displacement(const BlockWeights& weights, const Sampled& sampled, float* delta) const;

 private:
  void segment(size_t count, size_t group, double weight, bool by_text = false);
  void difference(const std::string& name, size_t begin, size_t count, float* out) const;
  void linear_displacement(const LinearPlan& linear, const Sampled::Linear& s, float* delta) const;

  const DomainJob& job_;
  std::vector<DomainSegment> segments_;
  size_t size_ = 0;
};

// All that is looked at: by layer, then of the head (of language models: of what comes before the output layer).
struct DomainSample {
  explicit DomainSample(const DomainJob& job);
  Sampler sampler;
  std::vector<Sampled> sampled;
  size_t size = 0, lowest = 0;  // coordinates; the lowest layer that has some, or their number
};
const Block& domain_block(const Program& program, size_t number);

}  // namespace warp
