// Row-major y = x Wᵀ is column-major yᵀ = W xᵀ: W's rows are columns of a matrix inputs × outputs (transposed), x's
// rows columns of inputs × rows, y's rows columns of outputs × rows; a bias of `outputs` runs down each column.
#include "ops/cuda/product.h"

#include <algorithm>

#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr size_t kWorkspace = size_t(32) << 20;  // what NVIDIA advises for its newest GPUs
constexpr size_t kMostPlans = 4096;

void expect(cublas::Status status, const char* what) {
  if (status == cublas::kSuccess) return;
  throw Error(Kind::kResource, "CUBLAS_FAILED", std::string(what) + ": cuBLASLt status " + std::to_string(int(status)),
              "use --device cpu, and please report this with the GPU's name");
}

cublas::Compute compute_type(Precision precision) {
  switch (precision) {
    case Precision::kTF32: return cublas::kCompute32FFastTF32;
    case Precision::kBF16: return cublas::kCompute32FFast16BF;
    default: return cublas::kCompute32F;
  }
}

// Bytes, a power of two, that the address is a multiple of: up to the 16 of the widest load. A choice of algorithm must
// not depend on more, which chunks would change.
size_t alignment(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 16;
  return size_t(address & (~address + 1));
}

}  // namespace

Products::Products(Precision precision) : api_(cublas::api()), precision_(precision), workspace_(kWorkspace) {
  expect(api_.cublasLtCreate(&handle_), "cublasLtCreate");
}

Products::~Products() {
  for (auto& entry : plans_) drop(entry.second);
  api_.cublasLtDestroy(handle_);
}

void Products::drop(Plan& plan) {
  if (plan.desc) api_.cublasLtMatmulDescDestroy(plan.desc);
  for (cublas::Layout layout : {plan.weight, plan.x, plan.y})
    if (layout) api_.cublasLtMatrixLayoutDestroy(layout);
  plan = Plan();
}

const Products::Plan& Products::plan(const Key& key) {
  const auto known = plans_.find(key);
  if (known != plans_.end()) return known->second;
  if (plans_.size() >= kMostPlans) {
    for (auto& entry : plans_) drop(entry.second);
    plans_.clear();
  }
  Plan& made = plans_[key];
  find(key, made);
  return made;
}

void Products::find(const Key& key, Plan& plan) {
  expect(api_.cublasLtMatmulDescCreate(&plan.desc, compute_type(precision_), CUDA_R_32F), "cublasLtMatmulDescCreate");
  const int transposed = cublas::kTransposed, epilogue = key.epilogue;
  expect(api_.cublasLtMatmulDescSetAttribute(plan.desc, cublas::kDescTransA, &transposed, sizeof transposed),
         "transpose");
  expect(api_.cublasLtMatmulDescSetAttribute(plan.desc, cublas::kDescEpilogue, &epilogue, sizeof epilogue), "epilogue");
  if (epilogue != cublas::kEpilogueDefault) {  // the search may look whether there is one; the real one comes later
    const void* some_bias = workspace_.data();
    expect(api_.cublasLtMatmulDescSetAttribute(plan.desc, cublas::kDescBiasPointer, &some_bias, sizeof some_bias),
           "bias");
  }
  expect(api_.cublasLtMatrixLayoutCreate(&plan.weight, CUDA_R_32F, key.inputs, key.outputs, int64_t(key.inputs)),
         "layout");
  expect(api_.cublasLtMatrixLayoutCreate(&plan.x, CUDA_R_32F, key.inputs, key.rows, int64_t(key.ldx)), "layout");
  expect(api_.cublasLtMatrixLayoutCreate(&plan.y, CUDA_R_32F, key.outputs, key.rows, int64_t(key.ldy)), "layout");
  cublas::Preference preference = nullptr;
  expect(api_.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  const auto prefer = [&](cublas::PreferenceAttribute attribute, auto value) {
    expect(api_.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value), "preference");
  };
  prefer(cublas::kPreferenceMaxWorkspace, kWorkspace);
  prefer(cublas::kPreferenceReductionMask, uint32_t(0));  // no sum split over blocks: one order, whatever the load
  prefer(cublas::kPreferenceAlignmentA, uint32_t(key.align_weight));
  prefer(cublas::kPreferenceAlignmentB, uint32_t(key.align_x));
  prefer(cublas::kPreferenceAlignmentC, uint32_t(key.align_y));
  prefer(cublas::kPreferenceAlignmentD, uint32_t(key.align_y));
  cublas::Heuristic found{};
  int count = 0;
  const cublas::Status status = api_.cublasLtMatmulAlgoGetHeuristic(handle_, plan.desc, plan.weight, plan.x, plan.y,
                                                                    plan.y, preference, 1, &found, &count);
  api_.cublasLtMatmulPreferenceDestroy(preference);
  plan.found = status == cublas::kSuccess && count > 0;
  plan.algorithm = found.algorithm;
}

void Products::multiply(const Plan& plan, const float* x, const float* weight, const float* bias, float* y,
                        cudaStream_t stream) {
  const float one = 1, zero = 0;
  if (bias)
    expect(api_.cublasLtMatmulDescSetAttribute(plan.desc, cublas::kDescBiasPointer, &bias, sizeof bias), "bias");
  expect(api_.cublasLtMatmul(handle_, plan.desc, &one, weight, plan.weight, x, plan.x, &zero, y, plan.y, y, plan.y,
                             &plan.algorithm, workspace_.data(), workspace_.size(), stream),
         "cublasLtMatmul");
}

void Products::linear(size_t rows, size_t outputs, size_t inputs, const float* x, size_t ldx, const float* weight,
                      const float* bias, Activation act, float* y, size_t ldy, cudaStream_t stream) {
  if (rows == 0 || outputs == 0) return;
  // whether cuBLASLt's GELU is as exact as float32 asks is written nowhere
  const bool with_gelu = bias && act == Activation::kGeluTanh && precision_ != Precision::kF32;
  const int wanted = with_gelu ? cublas::kEpilogueGeluBias : bias ? cublas::kEpilogueBias : cublas::kEpilogueDefault;
  Key key{rows,         outputs, inputs, ldx, ldy, alignment(x), std::min(alignment(weight), alignment(bias)),
          alignment(y), wanted};
  const Plan* chosen = &plan(key);
  if (chosen->found) {
    multiply(*chosen, x, weight, bias, y, stream);
    if (!with_gelu) activate(rows, outputs, nullptr, act, y, ldy, stream);
    return;
  }
  key.epilogue = cublas::kEpilogueDefault;
  chosen = &plan(key);
  if (!chosen->found)
    throw Error(Kind::kResource, "CUBLAS_FAILED",
                "cuBLASLt has no algorithm for a product of " + std::to_string(rows) + " × " + std::to_string(inputs) +
                    " by " + std::to_string(inputs) + " × " + std::to_string(outputs),
                "use --device cpu, and please report this with the GPU's name");
  multiply(*chosen, x, weight, nullptr, y, stream);
  activate(rows, outputs, bias, act, y, ldy, stream);
}

}  // namespace warp::cuda
