// Exact order statistics of |δ| without sorting: a radix select on the bits of the magnitude. Two passes count
// (16 high bits, then the 15 low ones within the bucket that holds the rank); a third looks for an index, only
// where more elements than wanted have exactly the threshold's magnitude.
#include <algorithm>
#include <map>
#include <mutex>

#include "paths/constants.h"

namespace warp::paths {
namespace {

constexpr uint64_t kChunk = 1 << 16;
constexpr int kLow = 15;  // bits left to the second pass

using Counts = std::vector<uint64_t>;

size_t chunks_of(const PairSource& pair) { return size_t((pair.elements + kChunk - 1) / kChunk); }

// Keys of chunk `task`, block by block: use(first element of the block, count, keys).
void each_block(const PairSource& pair, size_t task,
                const std::function<void(uint64_t first, size_t count, const uint32_t* keys)>& use) {
  float l[kBlock], r[kBlock];
  uint32_t keys[kBlock];
  const uint64_t begin = task * kChunk, end = std::min(pair.elements, begin + kChunk);
  for (uint64_t at = begin; at < end; at += kBlock) {
    const size_t count = size_t(std::min<uint64_t>(kBlock, end - at));
    pair.fetch(at, count, l, r);
    kernels().magnitudes(l, r, count, keys);
    use(at, count, keys);
  }
}

// A histogram of a pass: every task adds to a spare one, so there are never more of them than threads.
class Histograms {
 public:
  explicit Histograms(size_t buckets) : buckets_(buckets) {}
  void with(const std::function<void(Counts&)>& use) {
    Counts mine;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!spare_.empty()) {
        mine = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    if (mine.empty()) mine.assign(buckets_, 0);
    use(mine);
    std::lock_guard<std::mutex> lock(mutex_);
    spare_.push_back(std::move(mine));
  }
  Counts sum() const {
    Counts total(buckets_, 0);
    for (const Counts& part : spare_)
      for (size_t i = 0; i < buckets_; i++) total[i] += part[i];
    return total;
  }

 private:
  const size_t buckets_;
  std::mutex mutex_;
  std::vector<Counts> spare_;
};

// The bucket, from above, in which the rank-th element (from 1) lies; rank becomes its rank within the bucket.
size_t descend(const uint64_t* counts, size_t buckets, uint64_t& rank) {
  size_t bucket = buckets;
  while (bucket-- > 0) {
    if (rank <= counts[bucket]) return bucket;
    rank -= counts[bucket];
  }
  return 0;
}

// The index behind the rank-th (from 1) element whose key is `key`.
uint64_t index_behind(const PairSource& pair, uint32_t key, uint64_t rank, const Runner& run) {
  std::vector<uint64_t> found(chunks_of(pair), 0);
  run(found.size(), [&](size_t task) {
    each_block(pair, task, [&](uint64_t, size_t count, const uint32_t* keys) {
      uint64_t equal = 0;
      for (size_t i = 0; i < count; i++) equal += keys[i] == key;
      found[task] += equal;
    });
  });
  size_t task = 0;
  while (rank > found[task]) rank -= found[task++];
  uint64_t index = 0;
  each_block(pair, task, [&](uint64_t first, size_t count, const uint32_t* keys) {
    for (size_t i = 0; i < count && rank > 0; i++)
      if (keys[i] == key && --rank == 0) index = first + i + 1;
  });
  return index;
}

}  // namespace

std::vector<Cut> select(const PairSource& pair, const std::vector<uint64_t>& ranks, const Runner& run) {
  std::vector<Cut> cuts(ranks.size());
  Histograms high(size_t(1) << (31 - kLow + 1));
  const size_t chunks = chunks_of(pair);
  run(chunks, [&](size_t task) {
    high.with([&](Counts& counts) {
      each_block(pair, task, [&](uint64_t, size_t count, const uint32_t* keys) {
        for (size_t i = 0; i < count; i++) counts[keys[i] >> kLow]++;
      });
    });
  });
  const Counts first = high.sum();
  std::vector<uint64_t> rest = ranks;
  std::map<uint32_t, size_t> slots;  // bucket of the first pass → its place in the second
  std::vector<uint32_t> buckets(ranks.size());
  for (size_t i = 0; i < ranks.size(); i++) {
    if (ranks[i] == 0 || ranks[i] >= pair.elements) continue;
    buckets[i] = uint32_t(descend(first.data(), first.size(), rest[i]));
    slots.emplace(buckets[i], slots.size());
  }
  Histograms low(slots.size() << kLow);
  if (!slots.empty())
    run(chunks, [&](size_t task) {
      low.with([&](Counts& counts) {
        each_block(pair, task, [&](uint64_t, size_t count, const uint32_t* keys) {
          for (const auto& [bucket, slot] : slots) {
            uint64_t* mine = counts.data() + (slot << kLow);
            for (size_t i = 0; i < count; i++)
              if (keys[i] >> kLow == bucket) mine[keys[i] & ((1u << kLow) - 1)]++;
          }
        });
      });
    });
  const Counts second = low.sum();
  for (size_t i = 0; i < ranks.size(); i++) {
    if (ranks[i] == 0) continue;
    if (ranks[i] >= pair.elements) {
      cuts[i] = {0, pair.elements};
      continue;
    }
    const uint64_t* counts = second.data() + (slots[buckets[i]] << kLow);
    const size_t bits = descend(counts, size_t(1) << kLow, rest[i]);
    cuts[i].key = (buckets[i] << kLow) | uint32_t(bits);
    cuts[i].index = rest[i] == counts[bits] ? pair.elements : index_behind(pair, cuts[i].key, rest[i], run);
  }
  return cuts;
}

}  // namespace warp::paths
