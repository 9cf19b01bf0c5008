#pragma once
// Stored tensors on their way to a GPU; there, what their path must know of them, their masks, and θ_k of them.
#include <map>

#include "graph/weights.h"
#include "ops/cuda/backend.h"
#include "paths/path.h"

namespace warp {

constexpr size_t kDeviceAlignment = 256;
inline size_t device_aligned(size_t bytes) {
  return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

// Parts of one block of device memory, handed out in order. Without memory it only counts.
class DeviceRoom {
 public:
  DeviceRoom() : begin_(kDeviceAlignment), bytes_(SIZE_MAX / 2) {}
  DeviceRoom(char* memory, size_t bytes) : begin_(reinterpret_cast<uintptr_t>(memory)), bytes_(bytes) {}
  template <class T>
  T* take(size_t count) {
    const size_t size = device_aligned(count * sizeof(T));
    if (size > bytes_ - used_) throw internal_error("a device plan was too small");
    T* part = reinterpret_cast<T*>(begin_ + used_);
    used_ += size;
    most_ = most_ < used_ ? used_ : most_;
    return part;
  }
  size_t used() const { return used_; }
  size_t most() const { return most_; }
  void back_to(size_t used) { used_ = used; }

 private:
  uintptr_t begin_;
  size_t bytes_, used_ = 0, most_ = 0;
};

// Whether the path's constants depend on this tensor's values and are not known yet.
bool needs_values(const Path& path, const std::string& name);

// Some tensors of a pair, side by side in one block.
class DeviceStage {
 public:
  DeviceStage(cuda::Backend& backend, const Path& path) : backend_(&backend), path_(&path) {}
  // Bytes that add() will need for these elements of a tensor.
  static size_t bytes(const Path& path, const std::string& name, uint64_t elements);

  // Reads a tensor, or some of its rows; `rows_there`: the same on the device. Rows alone tell nothing of the whole.
  void add(const std::string& name);
  void add_rows(const std::string& name, const std::vector<uint32_t>& rows, const uint32_t* rows_there);
  size_t size() const { return size_; }
  // Copies all tensors to `memory`, constants and masks after them: by way of `staging` (page-locked, size() bytes) in
  // the copy queue, or without in the compute queue. Waits only where constants depend on values.
  void send(char* staging, char* memory);
  void send(char* memory);
  // out = elements [begin, begin + count) of θ_k, in the compute queue.
  void form(const std::string& name, int k, size_t begin, size_t count, float* out) const;
  size_t elements(const std::string& name) const { return tensors_.at(name).tensor.elements(); }

 private:
  struct Entry {
    PathTensor tensor;
    cuda::Place place;
    std::vector<size_t> sides;  // base, reference, checkpoints: bytes into the block
    size_t keep, work;
  };
  void place(const std::string& name, PathTensor tensor, cuda::Place place);
  cuda::Stored stored(const Entry& entry, size_t side, size_t begin = 0) const;
  void find_constants(cuda::Queue queue);
  void measure(const std::string& name, const Entry& entry, cuda::Queue queue);
  TensorConstants conclude(const std::string& name, const Entry& entry, const char* found) const;
  void mask(const std::string& name, const Entry& entry, cuda::Queue queue);

  cuda::Backend* backend_;
  const Path* path_;
  std::map<std::string, Entry> tensors_;
  size_t size_ = 0;
  char* memory_ = nullptr;
};

}  // namespace warp
