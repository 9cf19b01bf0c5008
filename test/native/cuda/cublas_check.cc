// Compiled, never run, where cuBLAS's headers are (WARP_CUBLAS_INCLUDE): proves the declarations of ops/cuda/cublas.h.
#include <cublasLt.h>

#include <cstddef>
#include <type_traits>

#include "ops/cuda/cublas.h"

namespace {

using namespace warp::cublas;

template <class A, class B>
constexpr bool alike() {  // passed in the same way
  return sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> &&
         std::is_floating_point_v<A> == std::is_floating_point_v<B>;
}
template <class Theirs, class Ours>
struct same : std::false_type {};
template <class R, class... A, class S, class... B>
struct same<R (*)(A...), S (*)(B...)> {
  static constexpr bool check() {
    if constexpr (sizeof...(A) != sizeof...(B)) return false;
    else return alike<R, S>() && (alike<A, B>() && ...);
  }
  static constexpr bool value = check();
};
#define X(name, ...) static_assert(same<decltype(&::name), abi::name>::value, #name);
WARP_CUBLASLT_FUNCTIONS(X)
#undef X

#define EQUAL(theirs, ours) static_assert(int(theirs) == int(ours), #theirs);
EQUAL(CUBLAS_STATUS_SUCCESS, kSuccess)
EQUAL(CUBLAS_OP_N, kNone)
EQUAL(CUBLAS_OP_T, kTransposed)
EQUAL(CUBLAS_COMPUTE_32F, kCompute32F)
EQUAL(CUBLAS_COMPUTE_32F_FAST_16BF, kCompute32FFast16BF)
EQUAL(CUBLAS_COMPUTE_32F_FAST_TF32, kCompute32FFastTF32)
EQUAL(CUBLASLT_MATMUL_DESC_TRANSA, kDescTransA)
EQUAL(CUBLASLT_MATMUL_DESC_TRANSB, kDescTransB)
EQUAL(CUBLASLT_MATMUL_DESC_EPILOGUE, kDescEpilogue)
EQUAL(CUBLASLT_MATMUL_DESC_BIAS_POINTER, kDescBiasPointer)
EQUAL(CUBLASLT_EPILOGUE_DEFAULT, kEpilogueDefault)
EQUAL(CUBLASLT_EPILOGUE_BIAS, kEpilogueBias)
EQUAL(CUBLASLT_EPILOGUE_GELU_BIAS, kEpilogueGeluBias)
EQUAL(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kPreferenceMaxWorkspace)
EQUAL(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, kPreferenceReductionMask)
EQUAL(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, kPreferenceAlignmentA)
EQUAL(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, kPreferenceAlignmentB)
EQUAL(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, kPreferenceAlignmentC)
EQUAL(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, kPreferenceAlignmentD)
static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(Algorithm));
static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == sizeof(Heuristic));
static_assert(offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) == offsetof(Heuristic, workspace));
static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == offsetof(Heuristic, state));

}  // namespace
