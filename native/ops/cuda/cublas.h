#pragma once
// cuBLASLt without linking it and without its headers: declarations of the few entry points called here (a C
// interface, stable from CUDA 11 on), found by dlopen. cublas_check.cc proves them where the headers are.
#include <library_types.h>

#include <cstddef>
#include <cstdint>
#include <string>

struct CUstream_st;  // CUDA's own name for what a cudaStream_t points to

namespace warp::cublas {

using Handle = struct HandleOpaque*;
using Desc = void*;
using Layout = void*;
using Preference = void*;
using CudaStream = CUstream_st*;

enum Status : int { kSuccess = 0 };
enum Operation : int { kNone = 0, kTransposed = 1 };
enum Compute : int { kCompute32F = 68, kCompute32FFast16BF = 75, kCompute32FFastTF32 = 77 };
enum DescAttribute : int { kDescTransA = 3, kDescTransB = 4, kDescEpilogue = 7, kDescBiasPointer = 8 };
enum Epilogue : int { kEpilogueDefault = 1, kEpilogueBias = 4, kEpilogueGeluBias = 36 };
enum PreferenceAttribute : int {
  kPreferenceMaxWorkspace = 1,
  kPreferenceReductionMask = 3,
  kPreferenceAlignmentA = 5,
  kPreferenceAlignmentB = 6,
  kPreferenceAlignmentC = 7,
  kPreferenceAlignmentD = 8,
};
struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

// X(name, result, parameters…)
#define WARP_CUBLASLT_FUNCTIONS(X) \
  X(cublasLtCreate, Status, Handle*) \
  X(cublasLtDestroy, Status, Handle) \
  X(cublasLtGetVersion, size_t) \
  X(cublasLtMatmulDescCreate, Status, Desc*, Compute, cudaDataType) \
  X(cublasLtMatmulDescDestroy, Status, Desc) \
  X(cublasLtMatmulDescSetAttribute, Status, Desc, DescAttribute, const void*, size_t) \
  X(cublasLtMatrixLayoutCreate, Status, Layout*, cudaDataType, uint64_t, uint64_t, int64_t) \
  X(cublasLtMatrixLayoutDestroy, Status, Layout) \
  X(cublasLtMatmulPreferenceCreate, Status, Preference*) \
  X(cublasLtMatmulPreferenceDestroy, Status, Preference) \
  X(cublasLtMatmulPreferenceSetAttribute, Status, Preference, PreferenceAttribute, const void*, size_t) \
  X(cublasLtMatmulAlgoGetHeuristic, Status, Handle, Desc, Layout, Layout, Layout, Layout, Preference, int, Heuristic*, \
    int*) \
  X(cublasLtMatmul, Status, Handle, Desc, const void*, const void*, Layout, const void*, Layout, const void*, \
    const void*, Layout, void*, Layout, const Algorithm*, void*, size_t, CudaStream)

namespace abi {
#define X(name, result, ...) using name = result (*)(__VA_ARGS__);
WARP_CUBLASLT_FUNCTIONS(X)
#undef X
}  // namespace abi

struct Api {
#define X(name, result, ...) abi::name name = nullptr;
  WARP_CUBLASLT_FUNCTIONS(X)
#undef X
  bool found = false;
  std::string path, error;
};

// Looked for once, on first use, in WARP_CUBLAS_DIR, the loader's path, CUDA_HOME, CUDA_PATH and /usr/local/cuda;
// never unloaded. Any thread.
const Api& api();

}  // namespace warp::cublas
