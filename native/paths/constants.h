#pragma once
// What a path family must know of a whole tensor before it can form any part of it: norms and angle, order
// statistics of |δ|, the largest |δ|, the scale that a mask asks for. One streaming pass (selection: also a
// sample before it, and more passes where the sample misled), with the same bits for any number of threads.
//
// δ = reference − base. Magnitudes are ordered by |δ| rounded to float32, larger first; equal ones by index,
// lower first. So the first m of a tensor are always m elements.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "paths/kernels.h"

namespace warp {

struct PathOptions {
  std::string family = "linear";  // linear quadratic slerp ties dare della breadcrumbs nearswap trajectory
  std::vector<double> lambdas;    // one per point; for trajectory nominal positions
  double quadratic_c = 0.3;
  double density = 0.9;                      // ρ: of ties, dare, della, breadcrumbs
  double epsilon = 0.1;                      // of della: keep probabilities lie in [ρ − ε, ρ + ε]
  double gamma = 0.01;                       // of breadcrumbs: share of the largest that is dropped
  std::string rescale = "inverse-density";   // of dare, della: also "l1", "none"
  bool mergekit = false;                     // slerp: a zero vector counts as orthogonal to everything
  uint64_t seed = 0;                         // of dare, della
  std::vector<std::string> fixed;            // tensors that stay at the base at every point
};

// The first m elements in the order of magnitudes: those above `key`, and of those at `key` the ones before `index`.
struct Cut {
  uint32_t key = 0xffffffffu;
  uint64_t index = 0;
};

struct TensorConstants {
  static constexpr uint64_t kUnknown = ~uint64_t(0);
  enum class Branch {
    kInterpolate,  // θ₀ + wδ
    kAngle,        // slerp proper
    kMask,         // θ₀ + wδ where kept
    kClip,         // nearswap
    kCheckpoints,  // trajectory
    kFixed,        // stays at the base
  } branch = Branch::kInterpolate;
  const char* reason = "linear";  // the branch in words, for the record
  double angle = 0;               // slerp
  double largest = 0;             // nearswap: max |δ|
  double scale = 1;               // of what a mask keeps
  uint64_t kept = kUnknown;       // elements that move; of random masks only where the scale needed it
  Cut from, to;                   // ties, breadcrumbs: kept are the first `to` without the first `from`
};

namespace paths {

struct Values {
  const float *base, *reference;
};

struct StoredPair {
  Dtype dtype;  // of both
  const void *base, *reference;
};

// One tensor of a pair, wherever its bytes are.
struct PairSource {
  std::string name;
  uint64_t elements = 0, width = 1;  // width: elements of a row (dim 0); a tensor without rows is one
  // Elements [begin, begin + count) of both sides as float32, in the scratch given or where they are; any thread.
  std::function<Values(uint64_t begin, size_t count, float* base, float* reference)> fetch;
  // Both sides from element `begin` on, where they are in memory and both F32, F16 or BF16; else null.
  std::function<StoredPair(uint64_t begin)> stored;
};

// Runs body(task) for every task below `tasks`, in any order, on any threads.
using Runner = std::function<void(size_t tasks, const std::function<void(size_t task)>& body)>;

TensorConstants find_constants(const PairSource& pair, const PathOptions& options, const Runner& run);

// find_constants in parts, for a backend that looks at the values itself.
// All that a tensor's values have no say in; `needs_values` becomes whether they have one after all, as said below.
TensorConstants plain_constants(const std::string& name, uint64_t elements, const PathOptions& options,
                                bool& needs_values);
// slerp: from the sums of both sides' squares and products
TensorConstants angle_constants(const Sums& all, uint64_t elements, const PathOptions& options);
// ties, breadcrumbs: the ranks of the two cuts, `from` and `to`
struct CutRanks {
  uint64_t from, to;
};
CutRanks cut_ranks(uint64_t elements, const PathOptions& options);
TensorConstants cut_constants(const CutRanks& ranks, const Cut& from, const Cut& to);
// dare, della with rescale l1: Σ |δ|, the same where kept, and how many are
struct Masses {
  double all = 0, kept = 0;
  uint64_t count = 0;
};
void rescale_by_mass(const Masses& all, TensorConstants& constants);
// nearswap: max |δ|
TensorConstants clip_constants(double largest, uint64_t elements);
// della: keep probability of ascending rank r in a row of `count`: low + step · r
struct KeepRamp {
  double low, step;
};
KeepRamp keep_ramp(const PathOptions& options, size_t count);

// For each rank m the cut that holds the first m elements of |δ| in order.
std::vector<Cut> select(const PairSource& pair, const std::vector<uint64_t>& ranks, const Runner& run);

// keep[i] = 1 where element begin + i takes part, else 0; l and r are these elements. della: whole rows.
void fill_mask(const PairSource& pair, const PathOptions& options, const TensorConstants& constants, uint64_t begin,
               size_t count, const float* l, const float* r, uint8_t* keep);

// Whether the family's mask needs whole rows at a time.
inline bool needs_rows(const PathOptions& options) { return options.family == "della"; }

// ⌊share · n⌋, where a product that should be whole but came out a hair below counts as whole.
uint64_t share_of(double share, uint64_t n);

}  // namespace paths
}  // namespace warp
