#pragma once
// Classifiers: head inputs of every point, from which everything of scopes `head` and `top` follows in closed form
// (scoring/head.h); and losses' derivatives along the path for wider scopes.
#include "scoring/head.h"
#include "scoring/pass.h"

namespace warp {

class ClassifySink : public PassSink {
 public:
  // label: by text. `scope`: as run_pass's, or null.
  ClassifySink(const PassArguments& arguments, const std::vector<int32_t>& label, int threads);

  void begin(int point, Threads& threads, bool first_chunk) override;
  void take(int point, const Tile& tile, float* x, float* dx, int worker) override;
  // What the sink will hold beside the features, before there is one: bytes.
  static uint64_t planned_bytes(const PassArguments& arguments, int threads);

  // (points + 2) × texts × features; point p of the result is k = p − 1.
  Buffer<float>& features() { return features_; }
  // With a scope: texts × points, ⟨−∇ℓ_i(θ_k), v⟩ / ‖v‖. After run_pass. DIRECTION_ZERO where ‖v‖ = 0.
  std::vector<double> alignment() const;

 private:
  void derive(int point, const Tile& tile, float* x, float* dx, int worker);
  void mean_rows(const Tile& tile, const float* x, float* out) const;

  static size_t scratch_floats(const PassArguments& arguments, const Flow& before, const Flow& head);

  const PassArguments a_;
  const std::vector<int32_t>& label_;
  const size_t width_, texts_;
  Flow before_, head_;
  WeightSource before_source_, head_source_;
  BlockPoint before_point_, head_point_, head_direction_;
  bool head_moves_ = false;
  std::vector<Buffer<float>> scratch_;
  std::vector<RopeTable> no_ropes_;
  std::vector<double> slope_;  // texts × points: Σ_c e_c ż_c
  Buffer<float> features_;
};

}  // namespace warp
