#pragma once
// A block's weights at a point of a path, in the backend's layout, formed from the pair's stored tensors; and the
// direction v = θ* − θ_k of those in a scope.
#include <map>
#include <set>

#include "graph/program.h"
#include "paths/path.h"

namespace warp {

// Ready to multiply with. Null in a direction: zero (not in the scope).
struct BlockPoint {
  std::vector<float*> packed, bias, vectors;  // memory of the backend; bias null where a linear layer has none
  std::vector<Buffer<float>> held;            // what they point into, where that is the host's
};

// Canonical names of the tensors that move; null: all.
using ScopeNames = std::set<std::string>;

// The stored tensors of one block, read once for all points.
class WeightSource {
 public:
  WeightSource(const Path& path, const BlockWeights& weights);
  // Packed buffers of the right size, to be filled by form().
  BlockPoint allocate(const Ops& ops) const;
  // Fills `point` with θ_k; parallel, the same bits for any number of threads.
  void form(const Ops& ops, Threads& threads, int k, BlockPoint& point) const;
  // The same task by task, in any order and at the same time: tasks 0 … tasks() − 1.
  size_t tasks() const;
  void form_task(const Ops& ops, int k, size_t task, BlockPoint& point) const;

  // The linear layers packed for dx = dy W instead.
  BlockPoint allocate_turned(const Ops& ops) const;
  void form_turned(const Ops& ops, Threads& threads, int k, BlockPoint& point) const;

  // The same of θ* − θ_k, zero outside of the scope.
  BlockPoint allocate_direction(const Ops& ops, const ScopeNames& scope) const;
  void form_direction(const Ops& ops, Threads& threads, int k, const ScopeNames& scope, BlockPoint& point) const;
  void form_direction_task(const Ops& ops, int k, const ScopeNames& scope, size_t task, BlockPoint& point) const;
  static bool in_scope(const BlockWeights& weights, const ScopeNames& scope);

  static uint64_t stored_bytes(const Path& path, const BlockWeights& weights);
  static uint64_t point_bytes(const Ops& ops, const BlockWeights& weights);

 private:
  struct Values {  // of a tensor: θ_k, or the direction
    const WeightSource& source;
    int k;
    const ScopeNames* scope;  // null: θ_k
    void read(const std::string& name, size_t begin, size_t count, float* out) const;
  };
  BlockPoint allocate(const Ops& ops, const ScopeNames* scope) const;
  void form_task(const Ops& ops, const Values& values, size_t task, BlockPoint& point) const;
  void form_outputs(const Ops& ops, const LinearPlan& linear, const Values& values, size_t first, float* packed) const;
  void form_inputs(const Ops& ops, const LinearPlan& linear, const Values& values, size_t first, float* packed) const;
  void form_vectors(const Values& values, BlockPoint& point) const;

  void form_turned_part(const Ops& ops, const LinearPlan& linear, int k, size_t first, float* packed) const;

  const BlockWeights& weights_;
  const int reference_;  // the point that is the reference
  std::map<std::string, PathTensor> tensors_;
};

// All of a tensor at point k.
Buffer<float> whole_point(const PathTensor& tensor, int k);

}  // namespace warp
