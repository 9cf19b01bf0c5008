#pragma once
// Stored tensors on their way to a GPU, and θ_k of them there.
#include <map>

#include "models/model.h"
#include "ops/cuda/backend.h"
#include "paths/path.h"

namespace warp {

constexpr size_t kDeviceAlignment = 256;
inline size_t device_aligned(size_t bytes) { return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment; }

// Parts of one block of device memory, handed out in order.
class DeviceRoom {
 public:
  DeviceRoom(char* memory, size_t bytes) : memory_(memory), bytes_(bytes) {}
  template <class T>
  T* take(size_t count) {
    const size_t size = device_aligned(count * sizeof(T));
    if (size > bytes_ - used_) throw internal_error("a device plan was too small");
    T* part = reinterpret_cast<T*>(memory_ + used_);
    used_ += size;
    return part;
  }
  size_t used() const { return used_; }
  void back_to(size_t used) { used_ = used; }

 private:
  char* memory_;
  size_t bytes_, used_ = 0;
};

// Some tensors of a pair, side by side in one block.
class DeviceStage {
 public:
  explicit DeviceStage(cuda::Backend& backend) : backend_(&backend) {}
  // Bytes that add() will need for these elements of a tensor.
  static size_t bytes(const Path& path, const std::string& name, uint64_t elements);

  void add(const std::string& name, PathTensor tensor);
  bool has(const std::string& name) const { return tensors_.count(name) != 0; }
  size_t size() const { return size_; }
  // Copies all tensors to `staging` (page-locked, size() bytes) and from there to `memory`, in the copy queue.
  void send(char* staging, char* memory);
  // The same without staging, in the compute queue.
  void send(char* memory);
  // out = elements [begin, begin + count) of θ_k, in the compute queue.
  void form(const std::string& name, int k, size_t begin, size_t count, float* out) const;
  size_t elements(const std::string& name) const { return tensors_.at(name).tensor.elements(); }

 private:
  struct Entry {
    PathTensor tensor;
    size_t base, reference, keep;  // bytes into the block
  };
  cuda::Backend* backend_;
  std::map<std::string, Entry> tensors_;
  size_t size_ = 0;
  char* memory_ = nullptr;
};

}  // namespace warp
