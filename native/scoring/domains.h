#pragma once
// Mean gradients of domains in any scope, by reverse mode at one point of a path, on a sample of coordinates; and the
// products that gradient matching needs of them (method, section 9). Each domain's probes are split into blocks: the
// Gram matrix between different blocks is free of the probes' noise.
#include <memory>

#include "graph/backward.h"
#include "scoring/device_choice.h"
#include "scoring/pass.h"
#include "training/output.h"

namespace warp {

struct DomainJob {
  Program program;
  std::shared_ptr<Path> path;
  PackedTexts texts;
  std::vector<int32_t> label;   // classifiers
  std::vector<uint32_t> block;  // by text: domain · blocks + block
  size_t domains = 0, blocks = 0;
  int point = 0;     // of the path
  ScopeNames names;  // tensors of layers and head; the tables and a language model's output layer are left out
  double rate = 1;   // share of each matrix's outputs that is looked at
  uint64_t seed = 0;
  int threads = 1;
  uint64_t memory = 0;
  DeviceChoice device;  // no indices: the CPU; else the first
};

// Some coordinates of one tensor, next to each other in every gradient.
struct DomainSegment {
  size_t first = 0, count = 0;
  size_t group = 0;   // 0 … layers − 1, then the head
  double weight = 1;  // inverse of the sampling rate
  bool by_text = false;  // squares of single texts' gradients are there
};

// Products over the coordinates, by group: with u² = ḡ² + (s̄ − ḡ²)/b, ḡ = Σ π_d Ḡ_d, s̄ = Σ π_d E_d[g²]; the last is
// the mean over texts for weights of linear layers, and from means of blocks for gains and biases, which are few.
struct DomainMoments {
  std::vector<double> gram;          // groups × (D·B)²: ⟨G_a, u^−p G_b⟩
  std::vector<double> displacement;  // groups × D·B: ⟨G_a, u^−q δ⟩
  std::vector<double> norm2;         // groups: ‖u^((p − 2q)/2) δ‖², what the matched combination is compared with
};
struct DomainMetric {
  std::vector<double> shares;  // π; empty: u = 1
  double batch = 16;           // texts of a training step, b
  double gram_power = 0, displacement_power = 0;
};

class DomainGradients {
 public:
  // Progress: texts. MEMORY_BUDGET where `memory` does not do; LOSS_NOT_FINITE; on a GPU as DeviceDomains.
  static std::shared_ptr<DomainGradients> compute(const DomainJob& job, Context& context);
  // Bytes of the host's memory, and of the GPU's where one is asked for.
  struct Planned {
    uint64_t bytes = 0, device_bytes = 0;
  };
  static Planned planned(const DomainJob& job);

  DomainMoments moments(const DomainMetric& metric, Threads& threads, Context& context) const;
  size_t groups() const { return groups_; }
  size_t coordinates() const { return delta_.size(); }
  const std::vector<double>& loss() const { return loss_; }  // by block: mean loss of its texts

 private:
  friend class DomainRun;
  double preconditioner(const DomainMetric& metric, const DomainSegment& segment, size_t at) const;
  size_t domains_ = 0, blocks_ = 0, groups_ = 0;
  std::vector<DomainSegment> segments_;
  std::vector<float> delta_;       // θ* − θ₀ of the coordinates
  Buffer<float> gradient_;         // D·B × coordinates: mean gradient of a text's loss
  Buffer<float> square_;           // D × coordinates: mean of its square, where a segment has it
  std::vector<double> texts_;      // by block: how many
  std::vector<double> loss_;
};

}  // namespace warp
