#pragma once
// An opened model: a table of tensors that lib/checkpoint has validated. Bytes stay in the files until read.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "files/input.h"
#include "files/low_rank.h"

namespace warp {

// Where the elements of a tensor from `first` on are, in place of the tensor's own file: rows that a vocabulary gained.
struct TensorTail {
  Dtype dtype = Dtype::kF32;
  int file = -1;
  uint64_t first = 0, offset = 0;  // elements; bytes in the file
};

struct TensorInfo {
  Dtype dtype = Dtype::kF32;
  std::vector<uint64_t> shape;
  Eight eight = Eight::kNone;       // eight bits an element in the file; then `dtype` is F16
  int file = -1;                 // index into the weights' files; -1: generated
  uint64_t offset = 0, length = 0;  // bytes in the file
  enum class Fill { kNone, kZeros, kNormal } fill = Fill::kNone;  // generated: zeros, or normal keyed by (seed, name)
  uint64_t seed = 0;
  double deviation = 0;
  std::shared_ptr<const TensorTail> tail;  // null: none
  std::shared_ptr<const LowRank> delta;  // added to what is stored; null: nothing

  uint64_t elements() const {
    uint64_t count = 1;
    for (uint64_t size : shape) count *= size;
    return count;
  }
  uint64_t row_elements() const { return shape.empty() ? 1 : shape[0] == 0 ? 0 : elements() / shape[0]; }
};

class Weights {
 public:
  Weights(const std::vector<std::string>& files, std::map<std::string, TensorInfo> tensors);
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  bool has(const std::string& name) const { return tensors_.count(name) != 0; }
  const TensorInfo& info(const std::string& name) const;  // internal error when there is none
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }

  // Elements [begin, begin + count) in their dtype, with what an adapter adds. A file that has become shorter is an
  // input error, never a crash (no mapping). Any thread.
  void read(const std::string& name, uint64_t begin, uint64_t count, void* to) const;
  // The same as float32.
  void read_float(const std::string& name, uint64_t begin, uint64_t count, float* to) const;

 private:
  void read_stored(const std::string& name, const TensorInfo& tensor, uint64_t begin, uint64_t count, void* to) const;
  void read_tail(const std::string& name, const TensorInfo& tensor, uint64_t begin, uint64_t count, void* to) const;
  void add_delta(const std::string& name, const TensorInfo& tensor, uint64_t begin, uint64_t count, void* to) const;

  std::vector<std::unique_ptr<InputFile>> files_;
  std::map<std::string, TensorInfo> tensors_;
  mutable LowRankCache factors_;
};

}  // namespace warp
