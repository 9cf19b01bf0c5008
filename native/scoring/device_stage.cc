#include "scoring/device_stage.h"

#include <cstring>
#include <vector>

namespace warp {

size_t DeviceStage::bytes(const Path& path, const std::string& name, uint64_t elements) {
  const uint64_t whole = path.base().info(name).elements();
  const uint64_t each = whole ? (path.load_bytes(name) + whole - 1) / whole : 0;
  return size_t(elements * each) + 3 * kDeviceAlignment;
}

void DeviceStage::add(const std::string& name, PathTensor tensor) {
  if (has(name)) return;
  Entry entry{std::move(tensor), size_, 0, 0};
  entry.reference = entry.base + device_aligned(entry.tensor.base_bytes().size());
  entry.keep = entry.reference + device_aligned(entry.tensor.reference_bytes().size());
  size_ = entry.keep + device_aligned(entry.tensor.keep() ? entry.tensor.elements() : 0);
  tensors_.emplace(name, std::move(entry));
}

void DeviceStage::send(char* staging, char* memory) {
  for (const auto& [name, entry] : tensors_) {
    const auto &base = entry.tensor.base_bytes(), &reference = entry.tensor.reference_bytes();
    std::memcpy(staging + entry.base, base.data(), base.size());
    std::memcpy(staging + entry.reference, reference.data(), reference.size());
    if (entry.tensor.keep()) std::memcpy(staging + entry.keep, entry.tensor.keep(), entry.tensor.elements());
  }
  memory_ = memory;
  backend_->upload(memory, staging, size_, cuda::Queue::kCopy);
}

void DeviceStage::send(char* memory) {
  memory_ = memory;
  for (const auto& [name, entry] : tensors_) {
    const auto &base = entry.tensor.base_bytes(), &reference = entry.tensor.reference_bytes();
    backend_->upload(memory + entry.base, base.data(), base.size(), cuda::Queue::kCompute);
    backend_->upload(memory + entry.reference, reference.data(), reference.size(), cuda::Queue::kCompute);
    if (entry.tensor.keep())
      backend_->upload(memory + entry.keep, entry.tensor.keep(), entry.tensor.elements(), cuda::Queue::kCompute);
  }
}

void DeviceStage::form(const std::string& name, int k, size_t begin, size_t count, float* out) const {
  using Formula = PathTensor::Formula;
  const Entry& entry = tensors_.at(name);
  const Formula formula = entry.tensor.formula(k);
  const auto stored = [&](size_t at, Dtype dtype) {
    return cuda::Stored{memory_ + at + begin * dtype_size(dtype), dtype};
  };
  const cuda::Stored base = stored(entry.base, entry.tensor.base_dtype());
  const cuda::Stored reference = stored(entry.reference, entry.tensor.reference_dtype());
  cuda::Merge merge{cuda::Merge::kCopy, base, reference, formula.a, formula.b, nullptr};
  switch (formula.family) {
    case Formula::kBase: break;
    case Formula::kReference: merge.base = reference; break;
    case Formula::kLerp: merge.family = cuda::Merge::kLerp; break;
    case Formula::kBlend: merge.family = cuda::Merge::kBlend; break;
    case Formula::kClip: merge.family = cuda::Merge::kClip; break;
    case Formula::kMasked:
      merge.family = cuda::Merge::kMasked;
      merge.keep = reinterpret_cast<const uint8_t*>(memory_ + entry.keep + begin);
      break;
    case Formula::kOther: {  // values of its own, not made of these two
      std::vector<float> values(count);
      entry.tensor.point(k, begin, count, values.data());
      return backend_->upload(out, values.data(), count * sizeof(float), cuda::Queue::kCompute);
    }
  }
  backend_->merge(merge, count, out, Dtype::kF32);
}

}  // namespace warp
