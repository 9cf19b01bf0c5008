#pragma once
// Matrix products by cuBLASLt. A plan (descriptors and algorithm) is made once per shape and kept.
#include <map>
#include <tuple>

#include "ops/cuda/backend.h"
#include "ops/cuda/cublas.h"
#include "ops/cuda/runtime.h"

namespace warp::cuda {

class Products {
 public:
  explicit Products(Precision precision);
  ~Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  // y (rows × outputs) = act(x Wᵀ + b), W: outputs × inputs, its rows one after the other; bias may be null. Bias and,
  // except in float32, the tanh form of GELU are part of the product where cuBLASLt offers that.
  void linear(size_t rows, size_t outputs, size_t inputs, const float* x, size_t ldx, const float* weight,
              const float* bias, Activation act, float* y, size_t ldy, cudaStream_t stream);

 private:
  struct Plan {
    cublas::Desc desc = nullptr;
    cublas::Layout weight = nullptr, x = nullptr, y = nullptr;
    cublas::Algorithm algorithm{};
    bool found = false;
  };
  struct Key {
    size_t rows, outputs, inputs, ldx, ldy, align_x, align_weight, align_y;
    int epilogue;
    auto all() const { return std::tie(rows, outputs, inputs, ldx, ldy, align_x, align_weight, align_y, epilogue); }
    bool operator<(const Key& other) const { return all() < other.all(); }
  };
  const Plan& plan(const Key& key);
  void find(const Key& key, Plan& plan);
  void drop(Plan& plan);
  void multiply(const Plan& plan, const float* x, const float* weight, const float* bias, float* y,
                cudaStream_t stream);

  const cublas::Api& api_;
  const Precision precision_;
  cublas::Handle handle_ = nullptr;
  Array<char> workspace_;
  std::map<Key, Plan> plans_;
};

}  // namespace warp::cuda
