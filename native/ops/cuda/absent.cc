// The CUDA backend where no nvcc was found: it says that it is not there.
#include "ops/cuda/backend.h"
#include "ops/cuda/device.h"

namespace warp {

CudaInfo cuda_info() {
  CudaInfo info;
  info.error = "built without CUDA";
  return info;
}

CublasInfo cublas_info() {
  CublasInfo info;
  info.error = "built without CUDA";
  return info;
}

std::string cuda_name(int) { return ""; }

void require_cuda(int) {
  throw Error(Kind::kResource, "CUDA_NOT_COMPILED", "this build of the addon has no CUDA backend",
              "rebuild with nvcc: CUDA_HOME=/usr/local/cuda npm rebuild warp-recover; or use --device cpu");
}

std::unique_ptr<cuda::Backend> cuda::Backend::open(int index, Precision, bool) {
  require_cuda(index);
  return nullptr;
}

size_t cuda::mimic_workspace(const MimicShape&, const uint32_t*) { return 0; }
size_t cuda::pair_workspace(size_t) { return 0; }
size_t cuda::products_workspace(size_t, size_t) { return 0; }

}  // namespace warp
