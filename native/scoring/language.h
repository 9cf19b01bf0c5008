#pragma once
// Language models: losses of texts at every point, and their derivatives along the path. Logits are V wide, so they
// exist for a block of rows only: formed, used and dropped.
#include "scoring/pass.h"

namespace warp {

class LanguageSink : public PassSink {
 public:
  LanguageSink(const PassArguments& arguments, int threads);

  void begin(int point, Threads& threads, bool first_chunk) override;
  void take(int point, const Tile& tile, float* x, float* dx, int worker) override;
  // What the sink will hold, before there is one: bytes.
  static uint64_t planned_bytes(const PassArguments& arguments, int threads);

  // texts × (points + 2): Σ over a text's targets of −log p(target).
  std::vector<double>& loss() { return loss_; }
  // Tokens × 2: −log p(target) at θ₀ and at θ*, 0 where there is no target.
  std::vector<double>& token_loss() { return token_loss_; }
  // With a scope: texts × points, ⟨−∇ℓ_i(θ_k), v⟩ / ‖v‖ of the summed loss. After run_pass.
  std::vector<double> alignment() const;

 private:
  struct Worker {
    Buffer<float> rows, changes, logits, slopes, slots, tangents, rest;
  };
  void block(int point, const Tile& tile, const std::vector<uint32_t>& rows, float* x, float* dx, Worker& worker);

  const PassArguments a_;
  const size_t block_, texts_;
  Flow head_, derived_;
  WeightSource source_;
  BlockPoint point_, direction_;
  bool moves_ = false;
  std::vector<Worker> workers_;
  std::vector<RopeTable> no_ropes_;
  std::vector<double> loss_, slope_, token_loss_;
};

}  // namespace warp
