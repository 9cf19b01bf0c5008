#include "scoring/device_stage.h"

#include <cstring>
#include <vector>

#include "core/random.h"

namespace warp {
namespace {

using Branch = TensorConstants::Branch;

constexpr size_t kFound = 2 * sizeof(cuda::PairStatistics);  // what one tensor's measurement leaves
static_assert(kFound >= 2 * sizeof(cuda::DeviceCut));

TensorConstants plain_constants(const Path& path, const std::string& name, bool& needs) {
  return paths::plain_constants(name, path.base().info(name).elements(), path.options(), needs);
}

const PathTensor::Side& side_of(const PathTensor& tensor, size_t side) {
  return side == 0 ? tensor.base() : side == 1 ? tensor.reference() : tensor.checkpoints()[side - 2];
}

}  // namespace

bool needs_values(const Path& path, const std::string& name) {
  bool needs = false;
  if (!path.known(name)) plain_constants(path, name, needs);
  return needs;
}

size_t DeviceStage::bytes(const Path& path, const std::string& name, uint64_t elements) {
  const uint64_t whole = path.base().info(name).elements(), sides = 4 + path.options().lambdas.size();
  const uint64_t each = whole ? (path.load_bytes(name) + whole - 1) / whole : 0;
  return size_t(elements * each + sides * kDeviceAlignment) +
         device_aligned(kFound + cuda::pair_workspace(size_t(elements)));
}

void DeviceStage::add(const std::string& name) {
  if (tensors_.count(name)) return;
  place(name, path_->load_stored(name), {});
}

void DeviceStage::add_rows(const std::string& name, const std::vector<uint32_t>& rows, const uint32_t* rows_there) {
  place(name, path_->load_stored_rows(name, rows), {0, rows_there, path_->base().info(name).row_elements()});
}

void DeviceStage::place(const std::string& name, PathTensor tensor, cuda::Place place) {
  Entry entry{std::move(tensor), place, {}, 0, 0};
  for (size_t side = 0; side < 2 + entry.tensor.checkpoints().size(); side++) {
    entry.sides.push_back(size_);
    size_ += device_aligned(side_of(entry.tensor, side).bytes.size());
  }
  entry.keep = size_;
  if (path_->masked()) size_ += device_aligned(entry.tensor.elements());
  entry.work = size_;
  if (needs_values(*path_, name)) size_ += device_aligned(kFound + cuda::pair_workspace(entry.tensor.elements()));
  tensors_.emplace(name, std::move(entry));
}

void DeviceStage::send(char* staging, char* memory) {
  memory_ = memory;
  for (const auto& [name, entry] : tensors_) {
    for (size_t side = 0; side < entry.sides.size(); side++) {
      const Buffer<char>& from = side_of(entry.tensor, side).bytes;
      if (from.size() > 0) std::memcpy(staging + entry.sides[side], from.data(), from.size());
    }
    const size_t begin = entry.sides[0];
    backend_->upload(memory + begin, staging + begin, entry.keep - begin, cuda::Queue::kCopy);
  }
  find_constants(cuda::Queue::kCopy);
}

void DeviceStage::send(char* memory) {
  memory_ = memory;
  for (const auto& [name, entry] : tensors_)
    for (size_t side = 0; side < entry.sides.size(); side++) {
      const Buffer<char>& from = side_of(entry.tensor, side).bytes;
      backend_->upload(memory + entry.sides[side], from.data(), from.size(), cuda::Queue::kCompute);
    }
  find_constants(cuda::Queue::kCompute);
}

cuda::Stored DeviceStage::stored(const Entry& entry, size_t side, size_t begin) const {
  const Dtype dtype = side_of(entry.tensor, side).dtype;
  return {memory_ + entry.sides[side] + begin * dtype_size(dtype), dtype};
}

void DeviceStage::find_constants(cuda::Queue queue) {
  std::vector<std::string> measured;
  for (auto& [name, entry] : tensors_) {
    if (path_->known(name)) continue;
    bool needs;
    TensorConstants constants = plain_constants(*path_, name, needs);
    if (!needs) {
      path_->adopt(name, constants, entry.tensor);
      continue;
    }
    if (entry.place.rows) throw internal_error(name + ": its constants depend on all of it");
    measure(name, entry, queue);
    measured.push_back(name);
  }
  for (const std::string& name : measured) {
    Entry& entry = tensors_.at(name);
    char found[kFound];
    backend_->download(found, memory_ + entry.work, kFound, queue);
    path_->adopt(name, conclude(name, entry, found), entry.tensor);
  }
  for (const auto& [name, entry] : tensors_)
    if (entry.tensor.constants().branch == Branch::kMask) mask(name, entry, queue);
}

// Queues what tells a tensor's constants, to its workspace.
void DeviceStage::measure(const std::string& name, const Entry& entry, cuda::Queue queue) {
  const std::string& family = path_->options().family;
  const size_t count = entry.tensor.elements();
  const cuda::Stored base = stored(entry, 0), reference = stored(entry, 1);
  char *found = memory_ + entry.work, *workspace = found + kFound;
  if (family == "ties" || family == "breadcrumbs") {
    const paths::CutRanks ranks = paths::cut_ranks(count, path_->options());
    auto* cuts = reinterpret_cast<cuda::DeviceCut*>(found);
    backend_->select_first(base, reference, count, ranks.from, cuts, workspace, queue);
    backend_->select_first(base, reference, count, ranks.to, cuts + 1, workspace, queue);
    return;
  }
  const uint8_t* keep = nullptr;
  if (path_->masked()) {  // the share that a random mask keeps
    mask(name, entry, queue);
    keep = reinterpret_cast<const uint8_t*>(memory_ + entry.keep);
  }
  backend_->statistics(base, reference, keep, count, reinterpret_cast<cuda::PairStatistics*>(found), workspace, queue);
}

TensorConstants DeviceStage::conclude(const std::string& name, const Entry& entry, const char* found) const {
  const PathOptions& options = path_->options();
  const size_t count = entry.tensor.elements();
  if (options.family == "ties" || options.family == "breadcrumbs") {
    cuda::DeviceCut cuts[2];
    std::memcpy(cuts, found, sizeof cuts);
    return paths::cut_constants(paths::cut_ranks(count, options), {cuts[0].key, cuts[0].index},
                                {cuts[1].key, cuts[1].index});
  }
  cuda::PairStatistics sums;
  std::memcpy(&sums, found, sizeof sums);
  if (options.family == "slerp")
    return paths::angle_constants({sums.base2, sums.reference2, sums.product}, count, options);
  if (options.family == "nearswap") return paths::clip_constants(sums.largest, count);
  bool needs;
  TensorConstants constants = plain_constants(*path_, name, needs);
  paths::rescale_by_mass({sums.delta1, sums.kept1, uint64_t(sums.kept)}, constants);
  return constants;
}

void DeviceStage::mask(const std::string& name, const Entry& entry, cuda::Queue queue) {
  const PathOptions& options = path_->options();
  const size_t count = entry.tensor.elements();
  const cuda::Stored base = stored(entry, 0), reference = stored(entry, 1);
  auto* keep = reinterpret_cast<uint8_t*>(memory_ + entry.keep);
  if (options.family == "ties" || options.family == "breadcrumbs") {
    const Cut &from = entry.tensor.constants().from, &to = entry.tensor.constants().to;
    return backend_->mask_between(base, reference, entry.place, count, {from.key, from.index}, {to.key, to.index}, keep,
                                  queue);
  }
  const Random random(options.seed, "mask " + name);
  if (options.family == "dare")
    return backend_->mask_random(random.key().data(), entry.place, count, options.density * 0x1p32, keep, queue);
  const size_t width = size_t(path_->width(name));
  const paths::KeepRamp ramp = paths::keep_ramp(options, width);
  backend_->mask_ranked(random.key().data(), entry.place, base, reference, count / width, width, ramp.low, ramp.step,
                        keep, queue);
}

void DeviceStage::form(const std::string& name, int k, size_t begin, size_t count, float* out) const {
  using Formula = PathTensor::Formula;
  const Entry& entry = tensors_.at(name);
  const Formula formula = entry.tensor.formula(k);
  cuda::Merge merge{
      cuda::Merge::kCopy, stored(entry, 0, begin), stored(entry, 1, begin), formula.a, formula.b, nullptr};
  switch (formula.family) {
    case Formula::kBase: break;
    case Formula::kReference: merge.base = merge.reference; break;
    case Formula::kCheckpoint: merge.base = stored(entry, 2 + size_t(formula.a), begin); break;
    case Formula::kLerp: merge.family = cuda::Merge::kLerp; break;
    case Formula::kBlend: merge.family = cuda::Merge::kBlend; break;
    case Formula::kClip: merge.family = cuda::Merge::kClip; break;
    case Formula::kMasked:
      merge.family = cuda::Merge::kMasked;
      merge.keep = reinterpret_cast<const uint8_t*>(memory_ + entry.keep + begin);
      break;
  }
  backend_->merge(merge, count, out, Dtype::kF32);
}

}  // namespace warp
