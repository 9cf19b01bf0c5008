#pragma once
// CUDA's runtime with errors as exceptions and memory that frees itself. Included by this folder only.
#include <cuda_runtime.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

#include "core/error.h"

// A launch that the test shim can turn into a loop over blocks; `kernel` in parentheses when it has template
// arguments. An empty grid launches nothing.
#ifndef WARP_LAUNCH
#define WARP_LAUNCH(kernel, grid, block, bytes, stream, ...) \
  do { \
    const dim3 launch_grid = (grid); \
    if (launch_grid.x && launch_grid.y && launch_grid.z) { \
      kernel<<<launch_grid, (block), (bytes), (stream)>>>(__VA_ARGS__); \
      ::warp::cuda::check(cudaGetLastError(), #kernel); \
    } \
  } while (0)
// Shared memory of a block: `count` elements known at compile time, or as many as the launch gave bytes for.
#define WARP_SHARED(type, name, count) __shared__ type name[count]
#define WARP_SHARED_BYTES(name) extern __shared__ __align__(16) unsigned char name[]
#endif

namespace warp::cuda {

// The error a failed call stands for: out of memory, no device, too old a driver, kernels for other architectures,
// a device that went away, a kernel that failed (sticky: the process must end), else internal.
Error to_error(cudaError_t status, const char* what);

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) throw to_error(status, what);
}

// Bytes held on devices by Arrays, so that a plan can be checked against a run.
inline std::atomic<size_t>& device_bytes() {
  static std::atomic<size_t> bytes{0};
  return bytes;
}

// Makes a device the calling thread's own for a scope.
class OnDevice {
 public:
  explicit OnDevice(int index) {
    check(cudaGetDevice(&before_), "cudaGetDevice");
    check(cudaSetDevice(index), "cudaSetDevice");
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_), "the device"); }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(bool timed = false) {
    check(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming), "cudaEventCreate");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) const { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  void hold(cudaStream_t stream) const { check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent"); }
  void wait() const { check(cudaEventSynchronize(event_), "the device"); }
  // Seconds until `later`; both timed and passed.
  double until(const Event& later) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, event_, later.event_), "cudaEventElapsedTime");
    return double(milliseconds) / 1e3;
  }
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// Uninitialised memory on the current device; allocated once, freed by the destructor.
template <class T>
class Array {
 public:
  Array() = default;
  explicit Array(size_t count) : size_(count) {
    if (count == 0) return;
    check(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)), "cudaMalloc");
    device_bytes() += count * sizeof(T);
  }
  ~Array() {
    if (!data_) return;
    device_bytes() -= size_ * sizeof(T);
    cudaFree(data_);
  }
  Array(Array&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Array& operator=(Array&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

// Page-locked host memory: the only kind that copies while kernels run. Where the system gives none, ordinary memory:
// copies then wait for kernels, and nothing else changes.
template <class T>
class Pinned {
 public:
  Pinned() = default;
  explicit Pinned(size_t count) : size_(count) {
    if (count == 0) return;
    const cudaError_t status = cudaMallocHost(reinterpret_cast<void**>(&data_), count * sizeof(T));
    locked_ = status == cudaSuccess;
    if (locked_) return;
    if (status != cudaErrorMemoryAllocation) throw to_error(status, "cudaMallocHost");
    cudaGetLastError();  // the runtime remembers it for the next caller otherwise
    data_ = static_cast<T*>(std::malloc(count * sizeof(T)));
    if (!data_) throw std::bad_alloc();
  }
  ~Pinned() {
    if (locked_) cudaFreeHost(data_);
    else std::free(data_);
  }
  Pinned(Pinned&& other) noexcept { *this = std::move(other); }
  Pinned& operator=(Pinned&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(locked_, other.locked_);
    return *this;
  }
  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
  bool locked_ = false;
};

template <class T>
void upload(T* to, const T* from, size_t count, cudaStream_t stream) {
  if (count) check(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyHostToDevice, stream), "upload");
}
template <class T>
void download(T* to, const T* from, size_t count, cudaStream_t stream) {
  if (count) check(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyDeviceToHost, stream), "download");
}

inline unsigned blocks_of(size_t count, size_t each) { return unsigned((count + each - 1) / each); }

}  // namespace warp::cuda
