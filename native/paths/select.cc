// Exact order statistics of |δ| without sorting: a radix select on the bits of the magnitude. Two passes count
// (16 high bits, then the 15 low ones within the bucket that holds the rank). Where more elements than wanted have
// exactly the threshold's magnitude, the index comes from the bucket's members if they were few, else from a third.
#include <algorithm>
#include <atomic>
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
    const Values values = pair.fetch(at, count, l, r);
    kernels().magnitudes(values.base, values.reference, count, keys);
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

// What the second pass finds out about one bucket of the first.
struct Bucket {
  explicit Bucket(size_t chunks) : members(chunks) {}
  Counts counts;                                // by the low bits
  std::vector<std::vector<uint32_t>> members;   // by chunk, in order: place in the chunk << 16 | low bits
  std::atomic<bool> crowded{false};             // too many members to keep them
};
static_assert(kChunk <= 1 << 16, "a place in a chunk has 16 bits");

// Whether any key lies in the bucket. A few keys in a thousand do, unless many are equal: whole groups are skipped.
constexpr size_t kGroup = 64, kMembers = 2048;
bool holds(const uint32_t* keys, size_t count, uint32_t id) {
  uint32_t hits = 0;
  for (size_t i = 0; i < count; i++) hits |= uint32_t(keys[i] >> kLow == id);
  return hits != 0;
}

void refine(const PairSource& pair, uint32_t id, const Runner& run, Bucket& bucket) {
  Histograms low(size_t(1) << kLow);
  run(chunks_of(pair), [&](size_t task) {
    std::vector<uint32_t>& members = bucket.members[task];
    low.with([&](Counts& counts) {
      each_block(pair, task, [&](uint64_t first, size_t count, const uint32_t* keys) {
        for (size_t i = 0; i < count; i += kGroup) {
          const size_t end = std::min(count, i + kGroup);
          if (!holds(keys + i, end - i, id)) continue;
          for (size_t j = i; j < end; j++) {
            if (keys[j] >> kLow != id) continue;
            const uint32_t bits = keys[j] & ((1u << kLow) - 1);
            counts[bits]++;
            if (members.size() < kMembers) members.push_back(uint32_t(first + j - task * kChunk) << 16 | bits);
            else bucket.crowded = true;
          }
        }
      });
    });
  });
  bucket.counts = low.sum();
}

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
      uint32_t equal = 0;
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

// The same from the members that the second pass kept.
uint64_t index_behind(const Bucket& bucket, uint32_t bits, uint64_t rank) {
  for (size_t chunk = 0; chunk < bucket.members.size(); chunk++)
    for (const uint32_t member : bucket.members[chunk])
      if ((member & 0xffffu) == bits && --rank == 0) return chunk * kChunk + (member >> 16) + 1;
  return 0;
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
  std::map<uint32_t, Bucket> buckets;  // the second pass's
  std::vector<uint32_t> own(ranks.size());
  for (size_t i = 0; i < ranks.size(); i++) {
    if (ranks[i] == 0 || ranks[i] >= pair.elements) continue;
    own[i] = uint32_t(descend(first.data(), first.size(), rest[i]));
    buckets.try_emplace(own[i], chunks);
  }
  for (auto& [id, bucket] : buckets) refine(pair, id, run, bucket);
  for (size_t i = 0; i < ranks.size(); i++) {
    if (ranks[i] == 0) continue;
    if (ranks[i] >= pair.elements) {
      cuts[i] = {0, pair.elements};
      continue;
    }
    const Bucket& bucket = buckets.at(own[i]);
    const size_t bits = descend(bucket.counts.data(), bucket.counts.size(), rest[i]);
    cuts[i].key = (own[i] << kLow) | uint32_t(bits);
    if (rest[i] == bucket.counts[bits]) cuts[i].index = pair.elements;
    else if (bucket.crowded) cuts[i].index = index_behind(pair, cuts[i].key, rest[i], run);
    else cuts[i].index = index_behind(bucket, uint32_t(bits), rest[i]);
  }
  return cuts;
}

}  // namespace warp::paths
