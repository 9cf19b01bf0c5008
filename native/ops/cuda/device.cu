// The devices: what is there, why one cannot be used, and what a failed call means.
#include "ops/cuda/device.h"

#include "ops/cuda/cublas.h"
#include "ops/cuda/runtime.h"

namespace warp {
namespace {

std::string described(cudaError_t status) {
  return std::string(cudaGetErrorName(status)) + ": " + cudaGetErrorString(status);
}

std::string version_name(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

__global__ void probe(int* out) { *out = 1; }

}  // namespace

namespace cuda {

Error to_error(cudaError_t status, const char* what) {
  const std::string message = std::string(what) + ": " + described(status);
  const auto resource = [&](const char* code, const char* hint) { return Error(Kind::kResource, code, message, hint); };
  switch (status) {
    case cudaErrorMemoryAllocation:
      return resource("CUDA_OUT_OF_MEMORY", "give a smaller --device-memory, or free what other programs hold there");
    case cudaErrorInsufficientDriver:
      return resource("CUDA_DRIVER_TOO_OLD", "install a newer NVIDIA driver, or use --device cpu");
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorSystemNotReady:
    case cudaErrorInitializationError:
      return resource("CUDA_NO_DEVICE",
                      "nvidia-smi lists the devices; CUDA_VISIBLE_DEVICES hides some; or use --device cpu");
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidPtx:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInvalidKernelImage:
      return resource("CUDA_ARCH", "rebuild with WARP_CUDA_ARCHS set to this GPU's architecture, or use --device cpu");
    case cudaErrorDevicesUnavailable:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorCudartUnloading:
    case cudaErrorSystemDriverMismatch:
      return resource("CUDA_DEVICE_LOST", "the GPU or its driver failed: nvidia-smi says in what state it is");
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorAssert:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
      return resource("CUDA_KERNEL_FAILED", "start a new process before using this GPU again, and please report this");
    default: return resource("CUDA_FAILED", "nvidia-smi says in what state the GPU is; or use --device cpu");
  }
}

}  // namespace cuda

std::string cuda_name(int index) {
  cudaDeviceProp properties{};
  return cudaGetDeviceProperties(&properties, index) == cudaSuccess ? properties.name : "";
}

CudaInfo cuda_info() {
  CudaInfo info;
  info.compiled = true;
  info.archs = WARP_CUDA_ARCHS;
  cudaDriverGetVersion(&info.driver);
  cudaRuntimeGetVersion(&info.runtime);
  const cudaError_t status = cudaGetDeviceCount(&info.devices);
  if (status != cudaSuccess) {
    info.devices = 0;
    info.error = info.driver == 0 ? "this machine has no NVIDIA driver" : described(status);
    cudaGetLastError();  // the runtime remembers it for the next caller otherwise
    return info;
  }
  if (info.devices > 0) info.name = cuda_name(0);
  info.available = info.devices > 0;
  if (!info.available) info.error = "no CUDA device";
  return info;
}

CublasInfo cublas_info() {
  CublasInfo info;
  const cublas::Api& api = cublas::api();
  info.found = api.found;
  info.path = api.path;
  info.error = api.error;
  if (api.found) info.version = api.cublasLtGetVersion();
  return info;
}

void require_cuda(int index) {
  int driver = 0, runtime = 0, devices = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t counted = cudaGetDeviceCount(&devices);
  cudaGetLastError();
  if (driver == 0)
    throw Error(Kind::kResource, "CUDA_NO_DEVICE", "this machine has no NVIDIA driver",
                "install the driver of the GPU, or use --device cpu");
  if (counted == cudaErrorInsufficientDriver)
    throw Error(Kind::kResource, "CUDA_DRIVER_TOO_OLD",
                "the NVIDIA driver knows CUDA " + version_name(driver) + ", this build needs " + version_name(runtime),
                "install a newer NVIDIA driver, or use --device cpu");
  cuda::check(counted, "the devices");
  if (index < 0 || index >= devices)
    throw Error(Kind::kResource, "CUDA_NO_DEVICE",
                "there is no device cuda:" + std::to_string(index) + ", only " + std::to_string(devices) + " in all",
                "nvidia-smi lists the devices; CUDA_VISIBLE_DEVICES hides some");
  const cuda::OnDevice device(index);
  const cuda::Array<int> out(1);  // one kernel tells whether the code suits the architecture
  WARP_LAUNCH(probe, 1, 1, 0, nullptr, out.data());
  cuda::check(cudaDeviceSynchronize(), "the first kernel");
  if (!cublas::api().found)
    throw Error(Kind::kResource, "CUBLAS_MISSING", "cuBLASLt is not there: " + cublas::api().error,
                "install it (pip install nvidia-cublas, or the CUDA toolkit) and set WARP_CUBLAS_DIR to its folder");
}

}  // namespace warp
