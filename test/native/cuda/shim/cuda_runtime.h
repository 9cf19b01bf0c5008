#pragma once
// Stands in for CUDA's header when kernels are compiled as C++: the words of the language, the device functions the
// kernels use, and a runtime whose device is the host. Device memory starts as NaNs and has guards around it.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "fibers.h"
#include "streams.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define WARP_LAUNCH(kernel, grid, block, bytes, stream, ...) \
  do { \
    const dim3 launch_grid = (grid), launch_block = (block); \
    const size_t launch_bytes = (bytes); \
    if (launch_grid.x && launch_grid.y && launch_grid.z) { \
      ::warp::cuda::check(cudaGetLastError(), #kernel); \
      shim::queue(stream, [=, values = std::make_tuple(__VA_ARGS__)] { \
        shim::launch(launch_grid, launch_block, launch_bytes, \
                     [&] { std::apply([](auto... each) { kernel(each...); }, values); }); \
      }); \
    } \
  } while (0)
#define WARP_SHARED(type, name, count) \
  type* const name = static_cast<type*>(shim::shared_memory({__FILE__, __LINE__}, sizeof(type) * (count)))
#define WARP_SHARED_BYTES(name) unsigned char* const name = static_cast<unsigned char*>(shim::dynamic_memory())

// --- device functions ---
#define __syncthreads() shim::block_barrier({__FILE__, __LINE__})
#define __syncwarp() shim::exchange({__FILE__, __LINE__}, ~0u, 0, 0)
#define __ballot_sync(mask, value) shim::ballot({__FILE__, __LINE__}, mask, value)
#define __shfl_sync(mask, value, lane) shim::shuffle({__FILE__, __LINE__}, mask, value, int(lane))
#define __shfl_xor_sync(mask, value, bits) \
  shim::shuffle({__FILE__, __LINE__}, mask, value, int(shim::own_lane() ^ (bits)))
#define __shfl_down_sync(mask, value, by) shim::shuffle({__FILE__, __LINE__}, mask, value, int(shim::own_lane() + (by)))

namespace shim {
template <class T>
T shuffle(Site site, unsigned mask, T value, int lane) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = exchange(site, mask, bits, lane);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace shim

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

inline unsigned __float_as_uint(float x) { return shim::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return shim::bit_cast<float>(x); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, T b) {
  return a < b ? b : a;
}
inline unsigned atomicAdd(unsigned* to, unsigned value) {
  const unsigned before = *to;
  *to += value;
  return before;
}

// --- the runtime ---
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInitializationError = 3,
  cudaErrorCudartUnloading = 4,
  cudaErrorInsufficientDriver = 35,
  cudaErrorDevicesUnavailable = 46,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidKernelImage = 200,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorECCUncorrectable = 214,
  cudaErrorInvalidPtx = 218,
  cudaErrorNvlinkUncorrectable = 220,
  cudaErrorUnsupportedPtxVersion = 222,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchTimeout = 702,
  cudaErrorAssert = 710,
  cudaErrorHardwareStackError = 714,
  cudaErrorIllegalInstruction = 715,
  cudaErrorMisalignedAddress = 716,
  cudaErrorLaunchFailure = 719,
  cudaErrorSystemNotReady = 802,
  cudaErrorSystemDriverMismatch = 803,
};
using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDefault = 0, cudaEventDisableTiming = 2;
struct cudaDeviceProp {
  char name[256];
};

namespace shim {
// What the pretended machine has; tests change it.
struct Machine {
  int devices = 1, driver = 13000, runtime = 13000;
  size_t memory = size_t(1) << 30;  // of a device
  cudaError_t counting = cudaSuccess;
  bool pinning = true;  // whether page-locked memory is to be had
  int calls_until_failure = -1;  // of copies and synchronisations and launches; −1: never
  cudaError_t failure = cudaErrorLaunchFailure;  // sticky from then on
};
Machine& machine();
size_t memory_in_use();
size_t handles();  // streams and events not destroyed
}  // namespace shim

const char* cudaGetErrorName(cudaError_t status);
const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaMemGetInfo(size_t* available, size_t* total);
cudaError_t cudaMalloc(void** pointer, size_t bytes);
cudaError_t cudaFree(void* pointer);  // throws when something was written beside the array
cudaError_t cudaMallocHost(void** pointer, size_t bytes);
cudaError_t cudaFreeHost(void* pointer);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes,
                                cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);  // one for everything
