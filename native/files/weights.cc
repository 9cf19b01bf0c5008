#include "files/weights.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/random.h"

namespace warp {

Weights::Weights(std::vector<std::string> files, std::map<std::string, TensorInfo> tensors)
    : files_(std::move(files)), tensors_(std::move(tensors)) {
  for (const std::string& file : files_) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      const std::string why = std::strerror(errno);
      for (int open : descriptors_) ::close(open);
      throw Error(Kind::kInput, "FILE_UNREADABLE", file + ": cannot be opened: " + why);
    }
    descriptors_.push_back(descriptor);
  }
}

Weights::~Weights() {
  for (int descriptor : descriptors_) ::close(descriptor);
}

const TensorInfo& Weights::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw internal_error("no tensor " + name);
  return found->second;
}

void Weights::read_bytes(const std::string& name, const TensorInfo& info, uint64_t offset, uint64_t length,
                         void* to) const {
  char* out = static_cast<char*>(to);
  while (length > 0) {
    const ssize_t got = ::pread(descriptors_[info.file], out, std::min<uint64_t>(length, 1u << 30), off_t(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw Error(Kind::kInput, "FILE_UNREADABLE", files_[info.file] + ": tensor " + name + ": " + std::strerror(errno));
    if (got == 0)
      throw Error(Kind::kInput, "FILE_SHRANK",
                  files_[info.file] + ": tensor " + name + ": the file ends at byte " + std::to_string(offset) + ", " +
                      std::to_string(length) + " bytes early; it was complete when it was opened",
                  "do not write to the file while it is read");
    out += got;
    offset += uint64_t(got);
    length -= uint64_t(got);
  }
}

void Weights::read(const std::string& name, uint64_t begin, uint64_t count, void* to) const {
  const TensorInfo& tensor = info(name);
  if (begin > tensor.elements() || count > tensor.elements() - begin) throw internal_error("range outside " + name);
  const size_t size = dtype_size(tensor.dtype);
  if (tensor.file >= 0) return read_bytes(name, tensor, tensor.offset + begin * size, count * size, to);
  if (tensor.dtype != Dtype::kF32) throw internal_error("generated tensors are float32");
  float* out = static_cast<float*>(to);
  if (tensor.fill == TensorInfo::Fill::kZeros) {
    std::fill(out, out + count, 0.0f);
  } else {
    const Random random(tensor.seed, name);
    for (uint64_t i = 0; i < count; i++) out[i] = float(tensor.deviation * random.normal(begin + i));
  }
}

void Weights::read_float(const std::string& name, uint64_t begin, uint64_t count, float* to) const {
  const Dtype dtype = info(name).dtype;
  if (dtype == Dtype::kF32) return read(name, begin, count, to);
  const size_t size = dtype_size(dtype);
  constexpr uint64_t kStep = 1 << 16;
  std::vector<char> raw(std::min(count, kStep) * size);
  for (uint64_t done = 0; done < count; done += kStep) {
    const uint64_t step = std::min(kStep, count - done);
    read(name, begin + done, step, raw.data());
    to_float(dtype, raw.data(), step, to + done);
  }
}

}  // namespace warp
