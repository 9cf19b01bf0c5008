#include "files/weights.h"

#include <algorithm>

#include "core/error.h"
#include "core/random.h"

namespace warp {

Weights::Weights(const std::vector<std::string>& files, std::map<std::string, TensorInfo> tensors)
    : tensors_(std::move(tensors)) {
  for (const std::string& file : files) files_.push_back(std::make_unique<InputFile>(file));
}

const TensorInfo& Weights::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw internal_error("no tensor " + name);
  return found->second;
}

void Weights::read(const std::string& name, uint64_t begin, uint64_t count, void* to) const {
  const TensorInfo& tensor = info(name);
  if (begin > tensor.elements() || count > tensor.elements() - begin) throw internal_error("range outside " + name);
  const size_t size = dtype_size(tensor.dtype);
  if (tensor.file >= 0) {
    const uint64_t own =
        tensor.tail ? std::min(count, tensor.tail->first - std::min(begin, tensor.tail->first)) : count;
    if (own > 0) read_stored(name, tensor, begin, own, to);
    if (own < count) read_tail(name, tensor, begin + own, count - own, static_cast<char*>(to) + own * size);
    if (tensor.delta && count > 0) add_delta(name, tensor, begin, count, to);
    return;
  }
  if (tensor.dtype != Dtype::kF32) throw internal_error("generated tensors are float32");
  float* out = static_cast<float*>(to);
  if (tensor.fill == TensorInfo::Fill::kZeros) {
    std::fill(out, out + count, 0.0f);
  } else {
    const Random random(tensor.seed, name);
    for (uint64_t i = 0; i < count; i++) out[i] = float(tensor.deviation * random.normal(begin + i));
  }
}

void Weights::read_stored(const std::string& name, const TensorInfo& tensor, uint64_t begin, uint64_t count,
                          void* to) const {
  const InputFile& file = *files_[size_t(tensor.file)];
  if (tensor.eight == Eight::kNone) {
    const size_t size = dtype_size(tensor.dtype);
    return file.read(tensor.offset + begin * size, count * size, to, "tensor " + name);
  }
  uint8_t* bytes = static_cast<uint8_t*>(to) + count;
  file.read(tensor.offset + begin, count, bytes, "tensor " + name);
  eight_to_half(tensor.eight, bytes, count, static_cast<uint16_t*>(to));
}

void Weights::read_tail(const std::string& name, const TensorInfo& tensor, uint64_t begin, uint64_t count,
                        void* to) const {
  const TensorTail& tail = *tensor.tail;
  const InputFile& file = *files_[size_t(tail.file)];
  const size_t size = dtype_size(tail.dtype);
  const uint64_t offset = tail.offset + (begin - tail.first) * size;
  if (tail.dtype == tensor.dtype) return file.read(offset, count * size, to, "the new rows of tensor " + name);
  constexpr uint64_t kStep = 1 << 14;
  std::vector<char> raw(std::min(count, kStep) * size);
  std::vector<float> values(std::min(count, kStep));
  for (uint64_t done = 0; done < count; done += kStep) {
    const uint64_t step = std::min(kStep, count - done);
    file.read(offset + done * size, step * size, raw.data(), "the new rows of tensor " + name);
    to_float(tail.dtype, raw.data(), step, values.data());
    from_float(tensor.dtype, values.data(), step, static_cast<char*>(to) + done * dtype_size(tensor.dtype));
  }
}

void Weights::add_delta(const std::string& name, const TensorInfo& tensor, uint64_t begin, uint64_t count,
                        void* to) const {
  const auto factors = factors_.get(name, [&] {
    const auto read = [&](int file, uint64_t offset, uint64_t length, void* into) {
      files_[size_t(file)]->read(offset, length, into, "the adapter's part of tensor " + name);
    };
    return std::make_shared<const LowRankFactors>(*tensor.delta, tensor.shape[0], tensor.row_elements(), read);
  });
  factors->add(tensor.dtype, begin, count, to);
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
