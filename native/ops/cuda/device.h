#pragma once
// What is known about CUDA on this machine. Compiled in or not, these can be called: without the backend they say so.
#include <string>

#include "core/error.h"

namespace warp {

struct CudaInfo {
  bool compiled = false, available = false;
  int devices = 0;
  int driver = 0, runtime = 0;  // 1000 · major + 10 · minor; driver 0: none
  std::string error;            // why it is not available
  std::string archs;            // what the kernels were compiled for, as WARP_CUDA_ARCHS
  std::string name;             // of the first device
};

struct CublasInfo {
  bool found = false;
  std::string path, error;
  size_t version = 0;  // cuBLASLt's
};

// Without a driver this answers at once and touches nothing else.
CudaInfo cuda_info();

// Loads cuBLAS and cuBLASLt: about 0.1 s and 150 MB, so only when it is asked for.
CublasInfo cublas_info();

// Of a device that is there.
std::string cuda_name(int index);

// Throws the reason why device `index` cannot be used: CUDA_NOT_COMPILED, CUDA_DRIVER_TOO_OLD, CUDA_NO_DEVICE,
// CUDA_ARCH or CUBLAS_MISSING, each a resource error with its own hint.
void require_cuda(int index);

}  // namespace warp
