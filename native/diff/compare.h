#pragma once
// How each tensor of one model lies to that of the other, in one reading of both.
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "diff/kernels.h"
#include "files/weights.h"

namespace warp::diff {

int fraction_bits(Dtype dtype);       // of the float32 that is computed with: F64 counts as F32
int smallest_exponent(Dtype dtype);   // of a normal number
bool coarser(Dtype a, Dtype b);       // a has fewer fraction bits than b

// Tensors that both have with the same shape, by name. Values are read as float32; an element has moved when it changed
// by more than half a spacing of the coarser dtype (of equal dtypes: when it changed). Blocks are fixed: the same bits
// for any number of threads. Progress counts elements.
struct Comparison {
  std::string name;
  Sums sums;
};
std::vector<Comparison> compare(const Weights& base, const Weights& reference, Threads& threads, Context& context);

// Some elements of a tensor as stored, but float64 as float32.
class Stored {
 public:
  void read(const Weights& weights, const std::string& name, uint64_t begin, uint64_t count);
  Dtype dtype() const { return dtype_; }
  const char* data() const {
    return dtype_ == Dtype::kF32 && wide_ ? reinterpret_cast<const char*>(floats_.data()) : bytes_.data();
  }

 private:
  Dtype dtype_ = Dtype::kF32;
  bool wide_ = false;
  std::vector<char> bytes_;
  std::vector<float> floats_;
};

}  // namespace warp::diff
