// cuBLASLt's table with products in double precision: column-major, D = A' B' with an epilogue.
#include "shim/cublas.h"

#include <cmath>

#include "ops/cuda/cublas.h"
#include "shim/streams.h"

namespace {

using namespace warp::cublas;

struct Description {
  int transA = kNone, transB = kNone, epilogue = kEpilogueDefault;
  const float* bias = nullptr;
};
struct Shape {
  uint64_t rows, columns;
  int64_t ld;
};

int refused = 0, multiplied = 0;
bool hidden = false;

double gelu_tanh(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

Status create(Handle* handle) {
  *handle = reinterpret_cast<Handle>(&multiplied);
  return kSuccess;
}
Status destroy(Handle) { return kSuccess; }
Status create_desc(Desc* desc, Compute, cudaDataType) {
  *desc = new Description;
  return kSuccess;
}
Status destroy_desc(Desc desc) {
  delete static_cast<Description*>(desc);
  return kSuccess;
}
Status set_desc(Desc desc, DescAttribute attribute, const void* value, size_t) {
  auto* d = static_cast<Description*>(desc);
  switch (attribute) {
    case kDescTransA: d->transA = *static_cast<const int*>(value); break;
    case kDescTransB: d->transB = *static_cast<const int*>(value); break;
    case kDescEpilogue: d->epilogue = *static_cast<const int*>(value); break;
    case kDescBiasPointer: d->bias = *static_cast<const float* const*>(value); break;
  }
  return kSuccess;
}
Status create_layout(Layout* layout, cudaDataType, uint64_t rows, uint64_t columns, int64_t ld) {
  *layout = new Shape{rows, columns, ld};
  return kSuccess;
}
Status destroy_layout(Layout layout) {
  delete static_cast<Shape*>(layout);
  return kSuccess;
}
Status create_preference(Preference* preference) {
  *preference = &refused;
  return kSuccess;
}
Status destroy_preference(Preference) { return kSuccess; }
Status set_preference(Preference, PreferenceAttribute, const void*, size_t) { return kSuccess; }
Status heuristic(Handle, Desc desc, Layout, Layout, Layout, Layout, Preference, int, Heuristic* found, int* count) {
  *count = static_cast<Description*>(desc)->epilogue != refused;
  if (*count) *found = {};
  return *count ? kSuccess : Status(15);  // not supported
}

Status matmul(Handle, Desc desc, const void* alpha, const void* a, Layout layoutA, const void* b, Layout layoutB,
              const void* beta, const void* c, Layout, void* d, Layout layoutD, const Algorithm*, void*, size_t,
              CudaStream stream) {
  multiplied++;
  const auto how = *static_cast<Description*>(desc);
  const auto la = *static_cast<Shape*>(layoutA), lb = *static_cast<Shape*>(layoutB), ld = *static_cast<Shape*>(layoutD);
  const uint64_t inner = how.transA ? la.rows : la.columns;
  if ((how.transA ? la.columns : la.rows) != ld.rows || (how.transB ? lb.columns : lb.rows) != inner ||
      (how.transB ? lb.rows : lb.columns) != ld.columns || la.ld < int64_t(la.rows) || lb.ld < int64_t(lb.rows) ||
      ld.ld < int64_t(ld.rows))
    return Status(7);  // invalid value
  const auto *x = static_cast<const float*>(a), *y = static_cast<const float*>(b), *from = static_cast<const float*>(c);
  const float times = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  shim::queue(stream, [=] {
    for (uint64_t j = 0; j < ld.columns; j++)
      for (uint64_t i = 0; i < ld.rows; i++) {
        double sum = 0;
        for (uint64_t k = 0; k < inner; k++)
          sum += double(how.transA ? x[k + i * la.ld] : x[i + k * la.ld]) *
                 (how.transB ? y[j + k * lb.ld] : y[k + j * lb.ld]);
        sum *= times;
        if (keep != 0) sum += keep * double(from[i + j * ld.ld]);
        if (how.epilogue == kEpilogueBias || how.epilogue == kEpilogueGeluBias) sum += how.bias[i];
        if (how.epilogue == kEpilogueGeluBias) sum = gelu_tanh(sum);
        static_cast<float*>(d)[i + j * ld.ld] = float(sum);
      }
  });
  return kSuccess;
}

Api table() {
  Api api;
  api.found = true;
  api.path = "shim";
  api.cublasLtCreate = create;
  api.cublasLtDestroy = destroy;
  api.cublasLtGetVersion = [] { return size_t(0); };
  api.cublasLtMatmulDescCreate = create_desc;
  api.cublasLtMatmulDescDestroy = destroy_desc;
  api.cublasLtMatmulDescSetAttribute = set_desc;
  api.cublasLtMatrixLayoutCreate = create_layout;
  api.cublasLtMatrixLayoutDestroy = destroy_layout;
  api.cublasLtMatmulPreferenceCreate = create_preference;
  api.cublasLtMatmulPreferenceDestroy = destroy_preference;
  api.cublasLtMatmulPreferenceSetAttribute = set_preference;
  api.cublasLtMatmulAlgoGetHeuristic = heuristic;
  api.cublasLtMatmul = matmul;
  return api;
}

}  // namespace

namespace shim {
void refuse_epilogue(int epilogue) { refused = epilogue; }
int products() { return multiplied; }
void hide_cublas(bool hide) { hidden = hide; }
}  // namespace shim

const warp::cublas::Api& warp::cublas::api() {
  static const Api api = table();
  static const Api none = [] {
    Api hidden;
    hidden.error = "no such file";
    return hidden;
  }();
  return hidden ? none : api;
}
