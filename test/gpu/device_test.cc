// Whether the first GPU can be used: its name and memory, or the reason against it and exit code 4.
#include <cstdio>

#include "ops/cuda/backend.h"
#include "ops/cuda/device.h"

int main() {
  try {
    const auto backend = warp::cuda::Backend::open(0, warp::Precision::kF32);
    std::printf("%s, driver for CUDA %d, %.1f GiB free, cuBLASLt %zu of %s\n", warp::cuda_name(0).c_str(),
                warp::cuda_info().driver, double(backend->available()) / 1073741824.0, warp::cublas_info().version,
                warp::cublas_info().path.c_str());
    return 0;
  } catch (const warp::Error& error) {
    std::fprintf(stderr, "%s: %s\n%s\n", error.code.c_str(), error.message.c_str(), error.hint.c_str());
    return 4;
  }
}
