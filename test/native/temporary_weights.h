#pragma once
// Weights of made-up tensors, in a file that goes away with them.
#include <stdlib.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "files/weights.h"

namespace small {

using namespace warp;

class TemporaryWeights {
 public:
  // The first tensor begins at byte `first`.
  explicit TemporaryWeights(uint64_t first = 0) : file_(mkstemp(path_)), end_(first) {
    if (file_ < 0) throw internal_error("no temporary file");
  }
  ~TemporaryWeights() {
    ::close(file_);
    ::unlink(path_);  // the opened weights keep it
  }
  TemporaryWeights(const TemporaryWeights&) = delete;
  TemporaryWeights& operator=(const TemporaryWeights&) = delete;

  void add(const std::string& name, Dtype dtype, const std::vector<uint64_t>& shape, const std::vector<float>& values) {
    std::vector<char> bytes(values.size() * dtype_size(dtype));
    from_float(dtype, values.data(), values.size(), bytes.data());
    add_bytes(name, shape, bytes.data(), bytes.size());
    table_[name].dtype = dtype;
  }
  void add_bytes(const std::string& name, const std::vector<uint64_t>& shape, const void* bytes, size_t count) {
    if (pwrite(file_, bytes, count, off_t(end_)) != ssize_t(count))
      throw internal_error("could not write a temporary file");
    TensorInfo& info = table_[name];
    info.shape = shape;
    info.file = 0;
    info.offset = end_;
    info.length = count;
    end_ += count;
  }
  std::string path() const { return path_; }
  const std::map<std::string, TensorInfo>& table() const { return table_; }
  // All that was added; once.
  std::shared_ptr<Weights> open() {
    return std::make_shared<Weights>(std::vector<std::string>{path_}, std::move(table_));
  }

 private:
  char path_[24] = "/tmp/warp-test-XXXXXX";
  const int file_;
  uint64_t end_;
  std::map<std::string, TensorInfo> table_;
};

}  // namespace small
