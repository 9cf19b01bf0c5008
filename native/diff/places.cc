#include "diff/places.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "core/error.h"
#include "diff/compare.h"

namespace warp::diff {
namespace {

constexpr uint64_t kBlock = 1 << 18;  // elements

uint64_t mix(uint64_t x) {  // the finaliser of MurmurHash3
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

struct Hashes {
  std::vector<uint64_t> rows, columns;
};

Hashes hashes(const Weights& weights, const std::string& name, Dtype coarse, Threads& threads, Context& context) {
  const TensorInfo& info = weights.info(name);
  const uint64_t rows = info.shape[0], columns = info.shape[1];
  const uint64_t step = std::max<uint64_t>(1, kBlock / std::max<uint64_t>(1, columns)),
                 blocks = (rows + step - 1) / step;
  Hashes found;
  found.rows.resize(rows);
  std::vector<std::vector<uint64_t>> sums(size_t(threads.count()), std::vector<uint64_t>(columns));
  threads.parallel(blocks, [&](size_t task, int worker) {
    context.check();
    const uint64_t first = task * step, count = std::min(step, rows - first);
    std::vector<float> values(size_t(count * columns));
    weights.read_float(name, first * columns, count * columns, values.data());
    if (fraction_bits(coarse) < fraction_bits(info.dtype)) {
      std::vector<uint16_t> narrow(values.size());
      from_float(coarse, values.data(), values.size(), narrow.data());
      to_float(coarse, narrow.data(), values.size(), values.data());
    }
    for (uint64_t row = 0; row < count; row++) {
      const uint64_t salt = mix(first + row + 1);
      uint64_t whole = 0;
      for (uint64_t column = 0; column < columns; column++) {
        const float value = values[size_t(row * columns + column)] + 0.0f;  // -0 becomes 0
        uint32_t bits;
        std::memcpy(&bits, &value, 4);
        whole = mix(whole ^ bits);
        sums[size_t(worker)][column] += mix(bits ^ salt);  // sums of integers: no order
      }
      found.rows[first + row] = whole;
    }
  });
  found.columns.resize(columns);
  for (const auto& part : sums)
    for (uint64_t column = 0; column < columns; column++) found.columns[column] += part[column];
  return found;
}

std::vector<uint32_t> find(const std::vector<uint64_t>& base, const std::vector<uint64_t>& reference) {
  std::unordered_map<uint64_t, uint32_t> known;
  for (size_t i = 0; i < base.size(); i++) {
    const auto [entry, fresh] = known.emplace(base[i], uint32_t(i));
    if (!fresh) entry->second = kNowhere;
  }
  std::vector<uint32_t> found(reference.size(), kNowhere);
  for (size_t i = 0; i < reference.size(); i++) {
    const auto entry = known.find(reference[i]);
    if (base[i] == reference[i]) found[i] = uint32_t(i);
    else if (entry != known.end()) found[i] = entry->second;
  }
  return found;
}

}  // namespace

Places places(const Weights& base, const Weights& reference, const std::string& name, Threads& threads,
              Context& context) {
  const TensorInfo &left = base.info(name), &right = reference.info(name);
  if (left.shape.size() != 2 || left.shape != right.shape) throw internal_error(name + " is no matrix of both models");
  const Dtype coarse = coarser(left.dtype, right.dtype) ? left.dtype : right.dtype;
  const Hashes from = hashes(base, name, coarse, threads, context),
               to = hashes(reference, name, coarse, threads, context);
  return {find(from.rows, to.rows), find(from.columns, to.columns)};
}

}  // namespace warp::diff
