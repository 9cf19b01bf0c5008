#include "diff/compare.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace warp::diff {

int fraction_bits(Dtype dtype) { return dtype == Dtype::kBF16 ? 7 : dtype == Dtype::kF16 ? 10 : 23; }
int smallest_exponent(Dtype dtype) { return dtype == Dtype::kF16 ? -14 : -126; }
bool coarser(Dtype a, Dtype b) { return fraction_bits(a) < fraction_bits(b); }

void Stored::read(const Weights& weights, const std::string& name, uint64_t begin, uint64_t count) {
  const Dtype stored = weights.info(name).dtype;
  wide_ = stored == Dtype::kF64;
  dtype_ = wide_ ? Dtype::kF32 : stored;
  if (bytes_.size() < count * dtype_size(stored)) bytes_.resize(count * dtype_size(stored));
  weights.read(name, begin, count, bytes_.data());
  if (!wide_) return;
  if (floats_.size() < count) floats_.resize(count);
  to_float(stored, bytes_.data(), count, floats_.data());
}

namespace {

// Elements that a thread reads at once: enough that the system reads ahead in large pieces by itself, few enough to be
// still in a cache when they are summed.
constexpr uint64_t kBlock = 1 << 18;

struct Block {
  size_t tensor;
  uint64_t begin, count;
};

void add(const Sums& part, Sums& whole) {
  whole.base2 += part.base2;
  whole.cross += part.cross;
  whole.delta2 += part.delta2;
  whole.power2 += part.power2;
  whole.max_delta = std::max(whole.max_delta, part.max_delta);
  whole.max_ratio = std::max(whole.max_ratio, part.max_ratio);
  whole.changed += part.changed;
  whole.moved += part.moved;
  whole.base_bits |= part.base_bits;
  whole.reference_bits |= part.reference_bits;
}

}  // namespace

std::vector<Comparison> compare(const Weights& base, const Weights& reference, Threads& threads, Context& context) {
  std::vector<Comparison> found;
  std::vector<Block> blocks;
  uint64_t total = 0;
  for (const auto& [name, info] : reference.tensors()) {
    if (!base.has(name) || base.info(name).shape != info.shape) continue;
    const uint64_t elements = info.elements();
    for (uint64_t begin = 0; begin < elements; begin += kBlock)
      blocks.push_back({found.size(), begin, std::min(kBlock, elements - begin)});
    total += elements;
    found.push_back({name, {}});
  }
  std::vector<Sums> parts(blocks.size());
  struct Scratch {
    Stored base, reference;
  };
  std::vector<Scratch> scratch(size_t(threads.count()));
  std::atomic<uint64_t> done{0};
  const Kernels& loops = kernels();
  threads.parallel(blocks.size(), [&](size_t task, int worker) {
    const Block& block = blocks[task];
    const std::string& name = found[block.tensor].name;
    Scratch& own = scratch[size_t(worker)];
    own.base.read(base, name, block.begin, block.count);
    own.reference.read(reference, name, block.begin, block.count);
    const Dtype left = own.base.dtype(), right = own.reference.dtype(), coarse = coarser(left, right) ? left : right;
    const bool same = fraction_bits(left) == fraction_bits(right);
    loops.compare(left, own.base.data(), right, own.reference.data(), size_t(block.count),
                  float(std::ldexp(0.5, -fraction_bits(coarse))), smallest_exponent(coarse), parts[task]);
    if (same) parts[task].moved = parts[task].changed;
    context.progress(double(done += block.count), double(total));
  });
  for (size_t i = 0; i < blocks.size(); i++) add(parts[i], found[blocks[i].tensor].sums);
  return found;
}

}  // namespace warp::diff
