// The runtime of the pretended device, on the host; when things happen is up to streams.h. Memory is filled with NaNs
// and guarded; a guard that was touched is reported when the memory is freed.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_runtime.h"

namespace shim {
namespace {

constexpr size_t kGuard = 256;

struct State {
  std::mutex mutex;
  std::map<void*, size_t> device, host;
  size_t used = 0, handles = 0;
  int current = 0;
  Machine machine;
};
State& state() {
  static State all;
  return all;
}

// Calls that touch the device fail from the chosen one on, all of them: the error is sticky.
cudaError_t tick() {
  Machine& m = machine();
  if (m.calls_until_failure < 0) return cudaSuccess;
  if (m.calls_until_failure == 0) return m.failure;
  m.calls_until_failure--;
  return cudaSuccess;
}

void* allocate(std::map<void*, size_t>& table, size_t bytes) {
  auto* raw = static_cast<unsigned char*>(std::aligned_alloc(256, (bytes + 2 * kGuard + 255) / 256 * 256));
  std::memset(raw, 0xC5, bytes + 2 * kGuard);
  std::memset(raw + kGuard, 0xFF, bytes);
  table[raw + kGuard] = bytes;
  return raw + kGuard;
}

void release(std::map<void*, size_t>& table, void* pointer) {
  const auto found = table.find(pointer);
  if (found == table.end()) {
    std::fprintf(stderr, "shim: freed what was not allocated\n");
    std::abort();
  }
  const auto* bytes = static_cast<const unsigned char*>(pointer);
  for (size_t i = 0; i < kGuard; i++)
    if (bytes[-1 - ptrdiff_t(i)] != 0xC5 || bytes[found->second + i] != 0xC5) {
      std::fprintf(stderr, "shim: wrote beside an array of %zu bytes\n", found->second);
      std::abort();
    }
  std::free(static_cast<unsigned char*>(pointer) - kGuard);
  table.erase(found);
}

}  // namespace

// Whether it lies in memory of cudaMallocHost.
bool is_pinned(const void* pointer) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  const auto* at = static_cast<const char*>(pointer);
  for (const auto& [begin, bytes] : state().host)
    if (at >= static_cast<const char*>(begin) && at < static_cast<const char*>(begin) + bytes) return true;
  return false;
}

Machine& machine() { return state().machine; }
size_t memory_in_use() { return state().used; }
size_t handles() { return state().handles; }

}  // namespace shim

using shim::state;

const char* cudaGetErrorName(cudaError_t status) {
  static thread_local std::string name;
  name = "cudaError" + std::to_string(int(status));
  return name.c_str();
}
const char* cudaGetErrorString(cudaError_t) { return "an error of the pretended device"; }
cudaError_t cudaGetLastError() { return shim::tick(); }
cudaError_t cudaDriverGetVersion(int* version) {
  *version = shim::machine().driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = shim::machine().runtime;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = shim::machine().devices;
  return shim::machine().counting;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::snprintf(properties->name, sizeof properties->name, "pretended device");
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = state().current;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= shim::machine().devices) return cudaErrorInvalidDevice;
  state().current = device;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *total = shim::machine().memory;
  *available = *total - state().used;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (state().used + bytes > shim::machine().memory) return cudaErrorMemoryAllocation;
  state().used += bytes;
  *pointer = shim::allocate(state().device, bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* pointer) {
  if (!pointer) return cudaSuccess;
  shim::finish_all();
  const std::lock_guard<std::mutex> lock(state().mutex);
  state().used -= state().device.at(pointer);
  shim::release(state().device, pointer);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  if (!shim::machine().pinning) return cudaErrorMemoryAllocation;
  const std::lock_guard<std::mutex> lock(state().mutex);
  *pointer = shim::allocate(state().host, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  if (!pointer) return cudaSuccess;
  shim::finish_all();
  const std::lock_guard<std::mutex> lock(state().mutex);
  shim::release(state().host, pointer);
  return cudaSuccess;
}
// Page-locked memory is read when the copy happens; other memory before the call returns, or written before it does.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const cudaError_t failure = shim::tick()) return failure;
  if (kind == cudaMemcpyHostToDevice && stream) {
    const bool pinned = shim::is_pinned(from);
    (pinned ? shim::copies().pinned : shim::copies().pageable)++;
    if (!pinned) {
      const auto* bytes_of = static_cast<const unsigned char*>(from);
      const std::vector<unsigned char> held(bytes_of, bytes_of + bytes);
      shim::queue(stream, [=] { std::memcpy(to, held.data(), bytes); });
      return cudaSuccess;
    }
  }
  shim::queue(stream, [=] { std::memcpy(to, from, bytes); });
  if (kind == cudaMemcpyDeviceToHost && !shim::is_pinned(to)) shim::finish(stream);
  return cudaSuccess;
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (const cudaError_t failure = shim::tick()) return failure;
  shim::queue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  state().handles++;
  *stream = shim::make_stream();
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  state().handles--;
  shim::drop_stream(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  shim::finish(stream);
  return shim::tick();
}
cudaError_t cudaDeviceSynchronize() {
  shim::finish_all();
  return shim::tick();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  shim::hold(stream, event);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  state().handles++;
  *event = shim::make_event();
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  state().handles--;
  shim::drop_event(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  shim::record(event, stream);
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  shim::finish(event);
  return shim::tick();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 1;
  return cudaSuccess;
}
