#pragma once
// Pseudo-checkpoints θ_k = M(λ_k; θ₀, θ*) (WARP, section 3.1): per-tensor constants, and θ_k of any part of a
// tensor on demand. Nothing of a model is held here but what load() returns.
//
// λ = 0 gives the base's values exactly and λ = 1 the reference's for linear, quadratic, slerp and nearswap, and
// for ties, dare, della and breadcrumbs where everything is kept. Otherwise λ = 0 of the latter four is the base
// exactly, λ = 1 the base plus all that was kept. A trajectory's points are its checkpoints, exactly.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"
#include "paths/constants.h"

namespace warp {

// What a family did with one tensor.
struct TensorRecord {
  std::string name;
  std::string branch;  // in words: "slerp", "linear: parallel", "trimmed" …
  uint64_t elements = 0;
  uint64_t kept = 0;   // elements that move along the path, or TensorConstants::kUnknown
  double scale = 1;
};

class Path;

// Base and reference values of one tensor, or of some of its rows or elements, in their stored dtypes.
class PathTensor {
 public:
  size_t elements() const { return elements_; }
  // θ_k, elements [begin, begin + count) of what was loaded, as float32. k = −1 is the base, k = points() the
  // reference, exactly. Any thread.
  void point(int k, size_t begin, size_t count, float* out) const;
  // θ_k of [begin, begin + count) as `dtype`, rounded to nearest even: point() rounded once more, or, between 16-bit
  // dtypes, the formula in float32 rounded. What is stored in this dtype is copied byte for byte. Returns the first
  // element that is not finite, or count.
  size_t write(int k, size_t begin, size_t count, Dtype dtype, char* out) const;
  // The same at any λ in [0, 1]; of a trajectory only at its own ones, 0 and 1.
  void at(double lambda, size_t begin, size_t count, float* out) const;

  // How point() computes, for a backend that does it elsewhere: in float64.
  using Formula = paths::Formula;
  Formula formula(int k) const;
  struct Side {
    Dtype dtype = Dtype::kF32;
    Buffer<char> bytes;
    void decode(size_t begin, size_t count, float* out) const;
    // The same, in `scratch` unless the stored values are float32 themselves.
    const float* values(size_t begin, size_t count, float* scratch) const;
  };
  const Side& base() const { return base_; }
  const Side& reference() const { return reference_; }
  const std::vector<Side>& checkpoints() const { return checkpoints_; }
  const TensorConstants& constants() const { return constants_; }

 private:
  friend class Path;
  const Side* exact(double lambda) const;
  const Side* exact(int k) const;
  Formula formula_at(double lambda) const;
  void form(double lambda, size_t begin, size_t count, float* out) const;

  const Path* path_ = nullptr;
  size_t elements_ = 0;
  TensorConstants constants_;
  Side base_, reference_;
  std::vector<Side> checkpoints_;
  Buffer<uint8_t> keep_;  // of masked families
};

class Path {
 public:
  // checkpoints: of family "trajectory", one per λ.
  Path(std::shared_ptr<const Weights> base, std::shared_ptr<const Weights> reference, PathOptions options,
       std::vector<std::shared_ptr<const Weights>> checkpoints = {});

  int points() const { return int(options_.lambdas.size()); }
  const PathOptions& options() const { return options_; }
  const Weights& base() const { return *base_; }
  const Weights& reference() const { return *reference_; }

  // The constants of every tensor that both models have, computed in parallel; progress in bytes. Without it each
  // tensor's are computed when it is first loaded.
  void prepare(Threads& threads, Context& context) const;
  // Those of one tensor.
  TensorConstants constants(const std::string& name) const;
  // Whether any tensor that is not fixed differs between base and reference; reads up to the first difference.
  bool moves(Context& context) const;
  // What was done with each tensor whose constants are known, by name.
  std::vector<TensorRecord> record() const;

  PathTensor load(const std::string& name) const;
  PathTensor load_rows(const std::string& name, const std::vector<uint32_t>& rows) const;
  // Elements [begin, begin + count); whole rows where the family's mask needs them, see align().
  PathTensor load_range(const std::string& name, uint64_t begin, uint64_t count) const;
  // As load and load_rows, but stored values only: constants where they are known, no mask. For a backend that finds
  // both itself and hands the constants to adopt().
  PathTensor load_stored(const std::string& name) const;
  PathTensor load_stored_rows(const std::string& name, const std::vector<uint32_t>& rows) const;
  bool known(const std::string& name) const;
  void adopt(const std::string& name, const TensorConstants& constants, PathTensor& tensor) const;
  // Whether elements are kept or not by a mask.
  bool masked() const;
  // Elements of a row (dim 0); a tensor without rows is one.
  uint64_t width(const std::string& name) const { return source(name).width; }
  // The number of elements that ranges of this tensor must be multiples of.
  uint64_t align(const std::string& name) const;
  // Bytes load(name) holds.
  uint64_t load_bytes(const std::string& name) const;

 private:
  friend class PathTensor;
  paths::PairSource source(const std::string& name) const;
  PathTensor empty(const std::string& name, uint64_t elements) const;
  PathTensor read_range(const std::string& name, uint64_t begin, uint64_t count) const;
  PathTensor read_rows(const std::string& name, const std::vector<uint32_t>& rows) const;
  void take_known(const std::string& name, PathTensor& tensor) const;
  TensorConstants find(const std::string& name, const PathTensor* held, const paths::Runner& run) const;
  void mask(const std::string& name, uint64_t first, size_t at, size_t count, PathTensor& tensor) const;
  double weight(double lambda) const;

  std::shared_ptr<const Weights> base_, reference_;
  PathOptions options_;
  std::vector<std::shared_ptr<const Weights>> checkpoints_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, TensorConstants> constants_;
};

}  // namespace warp
