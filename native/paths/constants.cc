#include "paths/constants.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/buffer.h"
#include "core/random.h"

namespace warp::paths {
namespace {

constexpr uint64_t kChunk = 1 << 16;

// Chunks of whole rows where the family needs them, of kChunk elements where it does not.
uint64_t chunk_of(const PairSource& pair, const PathOptions& options) {
  if (!needs_rows(options)) return kChunk;
  return std::max<uint64_t>(1, kChunk / std::max<uint64_t>(1, pair.width)) * std::max<uint64_t>(1, pair.width);
}

// One result per chunk, in order; `reduce(begin, count, l, r)` sees a whole chunk.
template <class Result>
std::vector<Result> by_chunk(const PairSource& pair, uint64_t chunk, const Runner& run,
                             const std::function<Result(uint64_t, size_t, const float*, const float*)>& reduce) {
  std::vector<Result> results(size_t((pair.elements + chunk - 1) / chunk));
  run(results.size(), [&](size_t task) {
    const uint64_t begin = task * chunk;
    const size_t count = size_t(std::min(chunk, pair.elements - begin));
    Buffer<float> l(count), r(count);
    const Values values = pair.fetch(begin, count, l.data(), r.data());
    results[task] = reduce(begin, count, values.base, values.reference);
  });
  return results;
}

TensorConstants find_angle(const PairSource& pair, const PathOptions& options, const Runner& run) {
  Sums all;
  for (const Sums& part : by_chunk<Sums>(pair, kChunk, run, [](uint64_t, size_t count, const float* l, const float* r) {
         Sums sum;
         for (size_t at = 0; at < count; at += kBlock) {
           const Sums block = kernels().sums(l + at, r + at, std::min(kBlock, count - at));
           sum.ll += block.ll;
           sum.rr += block.rr;
           sum.lr += block.lr;
         }
         return sum;
       })) {
    all.ll += part.ll;
    all.rr += part.rr;
    all.lr += part.lr;
  }
  return angle_constants(all, pair.elements, options);
}

}  // namespace

TensorConstants angle_constants(const Sums& all, uint64_t elements, const PathOptions& options) {
  TensorConstants constants;
  constants.kept = elements;
  const double base = std::sqrt(all.ll), reference = std::sqrt(all.rr);
  const bool zero = base <= 1e-8 || reference <= 1e-8;
  if (zero && !options.mergekit) {
    constants.reason = "linear: a norm is zero";
    return constants;
  }
  const double cosine = zero ? 0 : std::max(-1.0, std::min(1.0, all.lr / base / reference));
  if (std::fabs(cosine) > 0.9995) {
    constants.reason = cosine > 0 ? "linear: parallel" : "linear: opposite";
    return constants;
  }
  constants.branch = TensorConstants::Branch::kAngle;
  constants.reason = zero ? "slerp: a norm is zero" : "slerp";
  constants.angle = std::acos(cosine);
  return constants;
}

CutRanks cut_ranks(uint64_t n, const PathOptions& options) {
  const uint64_t keep = std::min(n, std::max<uint64_t>(1, share_of(options.density, n)));
  const uint64_t top = options.family == "breadcrumbs" ? std::min(n - keep, share_of(options.gamma, n)) : 0;
  return {top, top + keep};
}

TensorConstants cut_constants(const CutRanks& ranks, const Cut& from, const Cut& to) {
  TensorConstants constants;
  constants.branch = TensorConstants::Branch::kMask;
  constants.reason = "trimmed";
  constants.from = from;
  constants.to = to;
  constants.kept = ranks.to - ranks.from;
  return constants;
}

void rescale_by_mass(const Masses& all, TensorConstants& constants) {
  constants.kept = all.count;
  // mergekit's guard too: where nothing that matters was kept, there is nothing to scale
  if (all.all >= 1e-7 && all.kept >= 1e-7) constants.scale = all.all / all.kept;
  else constants.reason = "masked: too little to rescale";
}

TensorConstants clip_constants(double largest, uint64_t elements) {
  TensorConstants constants;
  constants.kept = elements;
  constants.branch = TensorConstants::Branch::kClip;
  constants.reason = "clipped";
  constants.largest = largest;
  return constants;
}

KeepRamp keep_ramp(const PathOptions& options, size_t count) {
  if (count < 2) return {options.density, 0};
  return {options.density - options.epsilon, 2 * options.epsilon / double(count - 1)};
}

namespace {

Masses find_masses(const PairSource& pair, const PathOptions& options, const TensorConstants& constants,
                   const Runner& run) {
  Masses all;
  for (const Masses& part : by_chunk<Masses>(
           pair, chunk_of(pair, options), run, [&](uint64_t begin, size_t count, const float* l, const float* r) {
             Buffer<uint8_t> keep(count);
             fill_mask(pair, options, constants, begin, count, l, r, keep.data());
             Masses sum;
             for (size_t at = 0; at < count; at += kBlock) {
               const size_t size = std::min(kBlock, count - at);
               sum.all += kernels().total(l + at, r + at, size);
               sum.kept += kernels().kept(l + at, r + at, keep.data() + at, size);
               sum.count += std::accumulate(keep.data() + at, keep.data() + at + size, uint64_t(0));
             }
             return sum;
           })) {
    all.all += part.all;
    all.kept += part.kept;
    all.count += part.count;
  }
  return all;
}

// Keep probabilities of one row by rank of magnitude, and the draw.
void draw_row(const PathOptions& options, const Random& random, uint64_t begin, size_t count, const uint32_t* keys,
              uint64_t* order, uint8_t* keep) {
  // ascending rank is descending place in the order of magnitudes: smaller key first, of equal ones the later
  for (size_t i = 0; i < count; i++) order[i] = (uint64_t(keys[i]) << 32) | (0xffffffffu - uint32_t(i));
  std::sort(order, order + count);
  const KeepRamp ramp = keep_ramp(options, count);
  for (size_t rank = 0; rank < count; rank++) {
    const size_t i = 0xffffffffu - uint32_t(order[rank]);
    const double probability = ramp.low + ramp.step * double(rank);
    keep[i] = double(random.word(begin + i)) < probability * 0x1p32;
  }
}

}  // namespace

uint64_t share_of(double share, uint64_t n) {
  const double product = share * double(n), whole = std::nearbyint(product);
  return uint64_t(std::fabs(product - whole) <= 1e-12 * product ? whole : std::floor(product));
}

TensorConstants plain_constants(const std::string& name, uint64_t elements, const PathOptions& options,
                                bool& needs_values) {
  TensorConstants constants;
  constants.kept = elements;
  needs_values = false;
  const std::string& family = options.family;
  if (std::find(options.fixed.begin(), options.fixed.end(), name) != options.fixed.end()) {
    constants.branch = TensorConstants::Branch::kFixed;
    constants.reason = "fixed at the base";
    constants.kept = 0;
  } else if (family == "trajectory") {
    constants.branch = TensorConstants::Branch::kCheckpoints;
    constants.reason = "checkpoint";
  } else if (elements == 0) {
    constants.reason = "empty";
  } else if (family == "ties" || family == "breadcrumbs") {
    const CutRanks ranks = cut_ranks(elements, options);
    needs_values = ranks.to - ranks.from < elements;
    constants.reason = "linear: everything kept";
  } else if (family == "dare" || family == "della") {
    if ((family == "della" ? options.density - options.epsilon : options.density) >= 1) {
      constants.reason = "linear: everything kept";
      return constants;
    }
    constants.branch = TensorConstants::Branch::kMask;
    constants.reason = "masked";
    constants.kept = TensorConstants::kUnknown;
    if (options.rescale == "inverse-density") constants.scale = 1 / options.density;
    needs_values = options.rescale == "l1";
  } else if (family == "quadratic") {
    constants.reason = "quadratic";
  } else {
    needs_values = family == "slerp" || family == "nearswap";
  }
  return constants;
}

TensorConstants find_constants(const PairSource& pair, const PathOptions& options, const Runner& run) {
  bool needs_values;
  TensorConstants constants = plain_constants(pair.name, pair.elements, options, needs_values);
  if (!needs_values) return constants;
  const std::string& family = options.family;
  if (family == "slerp") {
    constants = find_angle(pair, options, run);
  } else if (family == "ties" || family == "breadcrumbs") {
    const CutRanks ranks = cut_ranks(pair.elements, options);
    const std::vector<Cut> cuts = select(pair, {ranks.from, ranks.to}, run);
    constants = cut_constants(ranks, cuts[0], cuts[1]);
  } else if (family == "nearswap") {
    double largest = 0;
    for (double part : by_chunk<double>(pair, kChunk, run, [](uint64_t, size_t count, const float* l, const float* r) {
           return kernels().largest(l, r, count);
         }))
      largest = std::max(largest, part);
    constants = clip_constants(largest, pair.elements);
  } else {
    rescale_by_mass(find_masses(pair, options, constants, run), constants);
  }
  return constants;
}

void fill_mask(const PairSource& pair, const PathOptions& options, const TensorConstants& constants, uint64_t begin,
               size_t count, const float* l, const float* r, uint8_t* keep) {
  const Kernels& k = kernels();
  if (options.family == "dare") {
    const Random random(options.seed, "mask " + pair.name);
    const uint64_t first = begin / 4, skip = begin % 4;
    const double below = options.density * 0x1p32;
    uint32_t words[kBlock + 8];
    for (size_t at = 0; at < count; at += kBlock) {
      const size_t size = std::min(kBlock, count - at);
      k.words(random.key().data(), first + at / 4, (skip + size + 3) / 4, words);
      for (size_t i = 0; i < size; i++) keep[at + i] = double(words[skip + i]) < below;
    }
    return;
  }
  Buffer<uint32_t> keys(count);
  k.magnitudes(l, r, count, keys.data());
  if (options.family == "della") {
    const Random random(options.seed, "mask " + pair.name);
    const size_t width = size_t(pair.width);
    Buffer<uint64_t> order(width);
    for (size_t at = 0; at < count; at += width)
      draw_row(options, random, begin + at, width, keys.data() + at, order.data(), keep + at);
    return;
  }
  k.before(keys.data(), constants.to.key, constants.to.index, begin, count, keep);
  if (options.family != "breadcrumbs") return;
  Buffer<uint8_t> dropped(count);
  k.before(keys.data(), constants.from.key, constants.from.index, begin, count, dropped.data());
  for (size_t i = 0; i < count; i++) keep[i] &= uint8_t(1 - dropped[i]);
}

}  // namespace warp::paths
