#pragma once
// The output layer of a language model in training: logits, cross-entropy and all gradients, some rows at a time.
#include <functional>
#include <string>

#include "core/threads.h"
#include "graph/backward.h"

namespace warp {

class OutputLayer {
 public:
  struct Tensors {  // gradients null: not wanted; bias null: none
    const float *weight = nullptr, *bias = nullptr;
    float *weight_gradient = nullptr, *bias_gradient = nullptr;
  };
  OutputLayer(const Program& program, const Tensors& tensors, const Ops& ops, const BackwardOps& backward);

  // θ in the layout that products want.
  void pack(Threads& threads);
  // Some rows from `first` on: ∂(Σ loss · weight)/∂logits, and their losses.
  using Watch = std::function<void(size_t first, size_t count, const float* e, const double* loss)>;
  // x: rows × hidden. Adds the gradients of Σ loss · weight over the rows to the layer's; writes dx (null: not
  // wanted). Returns Σ loss.
  double run(size_t rows, const float* x, const uint32_t* targets, double weight, Threads& threads, float* dx,
             const Watch& watch = nullptr);

 private:
  struct Worker {
    Growing turned, capped, rest;
  };
  void block(size_t rows, const float* x, const uint32_t* targets, float weight, float* e, double* loss, float* dx,
             Worker& worker);
  void weight_gradients(size_t rows, const float* x, Threads& threads);

  const Ops& ops_;
  const BackwardOps& backward_;
  const size_t inputs_, outputs_;
  const float cap_;
  const Tensors tensors_;
  Growing packed_, e_;
  std::vector<Worker> workers_;
};

}  // namespace warp
