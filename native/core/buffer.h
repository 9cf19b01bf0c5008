#pragma once
// Uninitialised, 64-byte aligned arrays whose bytes are counted, so that a plan can be checked against a run.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "core/error.h"

namespace warp {

struct Memory {  // of the whole process: bytes held by Buffers
  static std::atomic<size_t>& used() {
    static std::atomic<size_t> bytes{0};
    return bytes;
  }
};

// `bytes` of them, a multiple of 64, 64-byte aligned; null when there are none. Large ones ask for huge pages: giving
// back gigabytes of small pages takes longer than a user waits after Ctrl-C (130 ms for 1.5 GB against 9).
inline void* allocate_aligned(size_t bytes) {
#ifdef __linux__
  constexpr size_t kHugePage = size_t(2) << 20;
  void* huge = nullptr;
  if (bytes >= 4 * kHugePage && posix_memalign(&huge, kHugePage, bytes) == 0) {
    madvise(huge, bytes, MADV_HUGEPAGE);  // a wish: where it cannot be granted nothing is lost
    return huge;
  }
#endif
  return std::aligned_alloc(64, bytes);
}

template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t count) : size_(count) {
    if (count == 0) return;
    if (count > (size_t(-1) >> 1) / sizeof(T) - 64)
      throw Error(Kind::kResource, "OUT_OF_MEMORY", "buffer size overflows", "fewer probes or points");
    bytes_ = (count * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(allocate_aligned(bytes_));
    if (!data_)
      throw Error(Kind::kResource, "OUT_OF_MEMORY", "could not allocate " + std::to_string(bytes_) + " bytes",
                  "lower --memory, or free some");
    Memory::used() += bytes_;
  }
  ~Buffer() {
    if (data_) Memory::used() -= bytes_;
    std::free(data_);
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer gone(std::move(other));
    swap(gone);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
  }
  T* data_ = nullptr;
  size_t size_ = 0, bytes_ = 0;
};

}  // namespace warp
