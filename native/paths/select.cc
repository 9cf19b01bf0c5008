// Exact order statistics of |δ| without sorting: a sample says between which two keys the one of the wanted rank almost
// surely lies; a pass over the tensor counts what lies above them and collects the few between, among which the rank
// is found. Where the sample misled, or too many lie between, more passes narrow the keys down. Whatever the sample,
// the result is the same.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "paths/constants.h"

namespace warp::paths {
namespace {

constexpr uint64_t kChunk = 1 << 16;
constexpr size_t kMembers = kChunk / 16;  // that a chunk may collect
constexpr uint32_t kMost = 0x7fffffffu;

size_t chunks_of(const PairSource& pair) { return size_t((pair.elements + kChunk - 1) / kChunk); }

// use(first element, count, both sides as they are stored or as F32) for each block of chunk `task`.
template <class Use>
void each_block(const PairSource& pair, size_t task, const Use& use) {
  float l[kBlock], r[kBlock];
  const uint64_t begin = task * kChunk, end = std::min(pair.elements, begin + kChunk);
  for (uint64_t at = begin; at < end; at += kBlock) {
    const size_t count = size_t(std::min<uint64_t>(kBlock, end - at));
    if (pair.stored) {
      use(at, count, pair.stored(at));
      continue;
    }
    const Values values = pair.fetch(at, count, l, r);
    use(at, count, StoredPair{Dtype::kF32, values.base, values.reference});
  }
}

// The keys around one rank of a sample of the tensor, largest first.
struct Sample {
  Sample(const PairSource& pair, uint64_t rank, const Runner& run);
  std::vector<uint32_t> keys;
  size_t middle = 0;  // where the rank should be
};

Sample::Sample(const PairSource& pair, uint64_t rank, const Runner& run) {
  constexpr size_t kRun = 16, kRuns = 2048, kTask = 256;  // neighbours come at the price of one
  const size_t runs = size_t(std::max<uint64_t>(1, std::min<uint64_t>(kRuns, pair.elements / (16 * kRun))));
  const uint64_t stride = pair.elements / runs;
  const size_t each = size_t(std::min<uint64_t>(kRun, stride));
  keys.resize(runs * each);
  run((runs + kTask - 1) / kTask, [&](size_t task) {
    float l[kRun], r[kRun];
    for (size_t i = task * kTask; i < std::min(runs, (task + 1) * kTask); i++) {
      const Values values = pair.fetch(i * stride, each, l, r);
      kernels().magnitudes(values.base, values.reference, each, keys.data() + i * each);
    }
  });
  const double share = double(rank) / double(pair.elements), size = double(keys.size());
  // six standard deviations of a sample of independent elements; neighbours are not quite that
  const size_t at = std::min(keys.size() - 1, size_t(share * size));
  const size_t margin = size_t(6 * std::sqrt(size * share * (1 - share))) + 8;
  const size_t first = at - std::min(at, margin), last = std::min(keys.size() - 1, at + margin);
  const auto begin = keys.begin();
  std::nth_element(begin, begin + std::ptrdiff_t(last), keys.end(), std::greater<>());
  std::nth_element(begin, begin + std::ptrdiff_t(first), begin + std::ptrdiff_t(last), std::greater<>());
  keys = {begin + std::ptrdiff_t(first), begin + std::ptrdiff_t(last) + 1};
  std::sort(keys.begin(), keys.end(), std::greater<>());
  middle = at - first;
  // beyond the ends of the sample there may be more
  if (first == 0) keys.insert(keys.begin(), kMost), middle++;
  if (last + 1 == size_t(size)) keys.push_back(0);
}

// What a pass over all elements finds out about the keys from `low` to `high`.
struct Pass {
  uint64_t above = 0, inside = 0;  // elements with larger keys, with such keys
  std::vector<uint64_t> counts;  // of those inside, by chunk
  std::vector<std::vector<Member>> members;  // they themselves, in order, unless they are too many or one key
  bool complete = true;
};

Pass look(const PairSource& pair, uint32_t low, uint32_t high, const Runner& run) {
  Pass pass;
  std::vector<uint64_t> above(chunks_of(pair), 0);
  pass.counts.resize(above.size(), 0);
  pass.members.resize(above.size());
  run(above.size(), [&](size_t task) {
    Member found[kBlock];
    std::vector<Member>& members = pass.members[task];
    each_block(pair, task, [&](uint64_t first, size_t count, const StoredPair& values) {
      const bool collects = low < high && members.size() == pass.counts[task];
      const Split split =
          kernels().split(values.dtype, values.base, values.reference, count, low, high, collects ? found : nullptr);
      above[task] += split.above;
      pass.counts[task] += split.inside;
      if (!collects || members.size() + split.inside > kMembers) return;
      for (size_t i = 0; i < split.inside; i++)
        members.push_back({uint32_t(first - task * kChunk) + found[i].place, found[i].key});
    });
  });
  for (size_t task = 0; task < above.size(); task++) {
    pass.above += above[task];
    pass.inside += pass.counts[task];
    pass.complete = pass.complete && pass.members[task].size() == pass.counts[task];
  }
  return pass;
}

// The cut behind the rank-th (from 1) of the elements that a pass collected.
Cut cut_among(const Pass& pass, uint64_t rank) {
  std::vector<uint32_t> keys;
  for (const auto& members : pass.members)
    for (const Member& member : members) keys.push_back(member.key);
  const auto wanted = keys.begin() + std::ptrdiff_t(rank - 1);
  std::nth_element(keys.begin(), wanted, keys.end(), std::greater<>());
  const uint32_t key = *wanted;
  rank -= uint64_t(std::count_if(keys.begin(), wanted, [&](uint32_t other) { return other > key; }));
  for (size_t chunk = 0;; chunk++)
    for (const Member& member : pass.members[chunk])
      if (member.key == key && --rank == 0) return {key, chunk * kChunk + member.place + 1};
}

// The same of the elements that have this key.
Cut cut_among_equals(const PairSource& pair, const Pass& pass, uint32_t key, uint64_t rank) {
  size_t chunk = 0;
  while (rank > pass.counts[chunk]) rank -= pass.counts[chunk++];
  Cut cut = {key, 0};
  each_block(pair, chunk, [&](uint64_t first, size_t count, const StoredPair& values) {
    Member found[kBlock];
    const Split split = kernels().split(values.dtype, values.base, values.reference, count, key, key, found);
    if (cut.index == 0 && rank <= split.inside) cut.index = first + found[rank - 1].place + 1;
    rank -= std::min<uint64_t>(rank, split.inside);
  });
  return cut;
}

Cut select_one(const PairSource& pair, uint64_t rank, const Runner& run) {
  if (rank == 0) return {};
  if (rank >= pair.elements) return {0, pair.elements};
  const Sample sample(pair, rank, run);
  const uint32_t likely = sample.keys[sample.middle];
  const auto equal = std::count(sample.keys.begin(), sample.keys.end(), likely);
  int64_t least = 0, most = kMost;  // what the key may still be
  // the range that the sample gives, and one key alone, in turn; the latter first where many elements have it
  for (bool range = size_t(equal) * 4 < sample.keys.size(); least <= most; range = !range) {
    int64_t low = likely, high = low;
    if (range) low = std::max<int64_t>(least, sample.keys.back()), high = std::min<int64_t>(most, sample.keys.front());
    else if (low < least || low > most) low = high = least + (most - least) / 2;
    if (low > high) low = least, high = most;
    const Pass pass = look(pair, uint32_t(low), uint32_t(high), run);
    if (rank <= pass.above) least = high + 1;
    else if (rank > pass.above + pass.inside) most = low - 1;
    else if (low == high) return cut_among_equals(pair, pass, uint32_t(low), rank - pass.above);
    else if (pass.complete) return cut_among(pass, rank - pass.above);
    else least = low, most = high;
  }
  throw Error(Kind::kInput, "FILE_CHANGED", "tensor " + pair.name + " changed while it was read",
              "do not write to the files while they are read");
}

}  // namespace

std::vector<Cut> select(const PairSource& pair, const std::vector<uint64_t>& ranks, const Runner& run) {
  std::vector<Cut> cuts;
  for (const uint64_t rank : ranks) cuts.push_back(select_one(pair, rank, run));
  return cuts;
}

}  // namespace warp::paths
