#include "trace/tails.h"

#include "trace/outside.h"

namespace warp {
namespace {

int bin_of(uint32_t texts) { return texts <= 1 ? 0 : 31 - __builtin_clz(texts); }

// The text's tokens but its tail.
struct Inner {
  const uint32_t *begin, *end;
};

Inner inner_of(const Pool& pool, size_t text) {
  const uint32_t* tail = pool.tail(text);
  return {pool.begin(text), tail ? tail : pool.end(text)};
}

}  // namespace

TailCounts count_tails(const Pool& pool, const std::vector<uint8_t>& state) {
  std::vector<uint32_t> texts_with(pool.vocabulary(), 0);
  for (size_t text = 0; text < pool.texts(); text++) {
    const Inner inner = inner_of(pool, text);
    for (const uint32_t* v = inner.begin; v != inner.end; v++) texts_with[*v]++;
    if (pool.tail(text)) texts_with[*pool.tail(text)]++;
  }
  TailCounts counts;
  for (size_t v = 0; v < state.size(); v++) {
    if (texts_with[v] == 0 || state[v] == Outside::kUnknown) continue;
    (state[v] == Outside::kTrained ? counts.token_trained : counts.token_untrained)[bin_of(texts_with[v])]++;
  }
  for (size_t text = 0; text < pool.texts(); text++) {
    const Inner inner = inner_of(pool, text);
    const uint32_t* tail = pool.tail(text);
    const uint32_t* wrong = nullptr;
    int untrained = 0, unknown = 0;
    for (const uint32_t* v = inner.begin; v != inner.end; v++) {
      unknown += state[*v] == Outside::kUnknown;
      if (state[*v] == Outside::kUntrained && untrained++ == 0) wrong = v;
    }
    if (unknown > 0 || untrained > 1 || !tail || state[*tail] == Outside::kUnknown) continue;
    const bool tail_trained = state[*tail] == Outside::kTrained;
    if (untrained == 0) (tail_trained ? counts.tail_trained : counts.tail_untrained)[bin_of(texts_with[*tail])]++;
    if (!tail_trained) continue;
    if (wrong) counts.inner_untrained[bin_of(texts_with[*wrong])]++;
    else
      for (const uint32_t* v = inner.begin; v != inner.end; v++) counts.inner_trained[bin_of(texts_with[*v])]++;
  }
  return counts;
}

}  // namespace warp
