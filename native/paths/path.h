#pragma once
// Pseudo-checkpoints θ_k = M(λ_k; θ₀, θ*) (WARP, section 3.1): per-tensor constants, and θ_k of any part of a
// tensor on demand. Nothing of a model is held here but what load() returns.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"

namespace warp {

struct PathOptions {
  std::string family = "linear";
  std::vector<double> lambdas;
  double quadratic_c = 0.3;
};

class Path;

// Base and reference values of one tensor, or of some of its rows, in their stored dtypes.
class PathTensor {
 public:
  size_t elements() const { return elements_; }
  // θ_k, elements [begin, begin + count) of what was loaded, as float32. k = −1 is the base, k = points() the
  // reference, exactly. Any thread.
  void point(int k, size_t begin, size_t count, float* out) const;

 private:
  friend class Path;
  const Path* path_ = nullptr;
  size_t elements_ = 0;
  Dtype base_dtype_ = Dtype::kF32, reference_dtype_ = Dtype::kF32;
  std::vector<char> base_, reference_;
};

class Path {
 public:
  Path(std::shared_ptr<const Weights> base, std::shared_ptr<const Weights> reference, PathOptions options);

  int points() const { return int(options_.lambdas.size()); }
  const PathOptions& options() const { return options_; }
  const Weights& base() const { return *base_; }
  const Weights& reference() const { return *reference_; }

  PathTensor load(const std::string& name) const;
  PathTensor load_rows(const std::string& name, const std::vector<uint32_t>& rows) const;
  // Bytes load(name) holds.
  uint64_t load_bytes(const std::string& name) const;

 private:
  friend class PathTensor;
  std::shared_ptr<const Weights> base_, reference_;
  PathOptions options_;
  std::vector<double> weights_;  // of the linear interpolation, by point
};

}  // namespace warp
