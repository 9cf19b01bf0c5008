#include "scoring/survey.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/buffer.h"

namespace warp {
namespace {

constexpr uint64_t kBlock = 1 << 16;  // elements; the two blocks of a thread stay in its second-level cache
constexpr size_t kStep = 2048, kLanes = 8;

struct Block {
  size_t tensor;
  uint64_t begin, count;
};

struct Sums {
  double norm2 = 0, delta2 = 0, max_delta = 0;
  uint64_t changed = 0, moved = 0;
};

void add(const float* base, const float* reference, size_t count, Sums& sums) {
  double norm2[kLanes] = {}, delta2[kLanes] = {};
  float largest[kLanes] = {};
  uint32_t changed[kLanes] = {};
  const auto take = [&](size_t i, size_t lane) {
    const float delta = reference[i] - base[i], size = std::fabs(delta);
    norm2[lane] += double(base[i]) * base[i];
    delta2[lane] += double(delta) * delta;
    largest[lane] = size > largest[lane] ? size : largest[lane];
    changed[lane] += base[i] != reference[i];
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (size_t lane = 0; lane < kLanes; lane++) take(i + lane, lane);
  for (; i < count; i++) take(i, 0);
  for (size_t lane = 0; lane < kLanes; lane++) {
    sums.norm2 += norm2[lane];
    sums.delta2 += delta2[lane];
    sums.max_delta = std::max(sums.max_delta, double(largest[lane]));
    sums.changed += changed[lane];
  }
}

int fraction_bits(Dtype dtype) { return dtype == Dtype::kBF16 ? 7 : dtype == Dtype::kF16 ? 10 : 23; }

// Elements of the finer side that, rounded to the coarser dtype, are not what the coarser side holds.
uint64_t count_moved(const float* fine, const float* coarse, Dtype dtype, size_t count) {
  uint16_t narrow[kStep];
  float rounded[kStep];
  from_float(dtype, fine, count, narrow);
  to_float(dtype, narrow, count, rounded);
  uint64_t moved = 0;
  for (size_t i = 0; i < count; i++) moved += rounded[i] != coarse[i];
  return moved;
}

bool same_shape(const Weights& base, const std::string& name, const TensorInfo& info) {
  return base.has(name) && base.info(name).shape == info.shape;
}

// Where the first value that is not finite stands, or the tensor's size.
uint64_t first_non_finite(const Weights& weights, const std::string& name, const Context& context) {
  const uint64_t elements = weights.info(name).elements();
  Buffer<float> values(size_t(std::min(elements, kBlock)));
  for (uint64_t begin = 0; begin < elements; begin += kBlock) {
    context.check();
    const size_t count = size_t(std::min(kBlock, elements - begin));
    weights.read_float(name, begin, count, values.data());
    for (size_t i = 0; i < count; i++)
      if (!std::isfinite(values[i])) return begin + i;
  }
  return elements;
}

void locate_non_finite(const Weights& base, const Weights& reference, const Context& context, TensorSurvey& tensor) {
  const uint64_t elements = base.info(tensor.name).elements();
  tensor.index = first_non_finite(base, tensor.name, context);
  tensor.non_finite = TensorSurvey::Side::kBase;
  if (tensor.index < elements) return;
  tensor.index = first_non_finite(reference, tensor.name, context);
  tensor.non_finite = tensor.index < elements ? TensorSurvey::Side::kReference : TensorSurvey::Side::kNone;
}

}  // namespace

std::vector<TensorSurvey> survey(const Weights& base, const Weights& reference, Threads& threads, Context& context) {
  std::vector<TensorSurvey> tensors;
  std::vector<Block> blocks;
  uint64_t total = 0;
  for (const auto& [name, info] : reference.tensors()) {
    if (!same_shape(base, name, info)) continue;
    const uint64_t elements = info.elements();
    for (uint64_t begin = 0; begin < elements; begin += kBlock)
      blocks.push_back({tensors.size(), begin, std::min(kBlock, elements - begin)});
    total += elements;
    tensors.emplace_back();
    tensors.back().name = name;
  }

  std::vector<Sums> sums(blocks.size());
  std::atomic<uint64_t> done{0};
  struct Scratch {
    Buffer<char> base, reference;
    float base_values[kStep], reference_values[kStep];
  };
  std::vector<Scratch> scratch(size_t(threads.count()));
  threads.parallel(blocks.size(), [&](size_t task, int worker) {
    const Block& block = blocks[task];
    const std::string& name = tensors[block.tensor].name;
    Scratch& own = scratch[size_t(worker)];
    if (own.base.size() == 0) {
      own.base = Buffer<char>(kBlock * 8);
      own.reference = Buffer<char>(kBlock * 8);
    }
    const Dtype left = base.info(name).dtype, right = reference.info(name).dtype;
    base.read(name, block.begin, block.count, own.base.data());
    reference.read(name, block.begin, block.count, own.reference.data());
    for (size_t at = 0; at < block.count; at += kStep) {
      const size_t count = size_t(std::min<uint64_t>(kStep, block.count - at));
      to_float(left, own.base.data() + at * dtype_size(left), count, own.base_values);
      to_float(right, own.reference.data() + at * dtype_size(right), count, own.reference_values);
      add(own.base_values, own.reference_values, count, sums[task]);
      if (fraction_bits(left) > fraction_bits(right))
        sums[task].moved += count_moved(own.base_values, own.reference_values, right, count);
      if (fraction_bits(left) < fraction_bits(right))
        sums[task].moved += count_moved(own.reference_values, own.base_values, left, count);
    }
    context.progress(double(done += block.count), double(total));
  });

  std::vector<Sums> whole(tensors.size());
  for (size_t i = 0; i < blocks.size(); i++) {
    Sums& sum = whole[blocks[i].tensor];
    sum.norm2 += sums[i].norm2;
    sum.delta2 += sums[i].delta2;
    sum.max_delta = std::max(sum.max_delta, sums[i].max_delta);
    sum.changed += sums[i].changed;
    sum.moved += sums[i].moved;
  }
  for (size_t t = 0; t < tensors.size(); t++) {
    TensorSurvey& tensor = tensors[t];
    tensor.norm = std::sqrt(whole[t].norm2);
    tensor.delta_norm = std::sqrt(whole[t].delta2);
    tensor.max_delta = whole[t].max_delta;
    tensor.changed = whole[t].changed;
    const bool same = fraction_bits(base.info(tensor.name).dtype) == fraction_bits(reference.info(tensor.name).dtype);
    tensor.moved = same ? whole[t].changed : whole[t].moved;
    // an infinity or a NaN on either side leaves its mark in one of the sums
    if (!std::isfinite(whole[t].norm2 + whole[t].delta2)) locate_non_finite(base, reference, context, tensor);
  }
  return tensors;
}

}  // namespace warp
