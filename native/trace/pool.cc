#include "trace/pool.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace warp {

void Pool::append(const uint32_t* offsets, const uint32_t* ids, const uint32_t* domain, size_t count,
                  const uint8_t* tails) {
  if (std::any_of(ids + offsets[0], ids + offsets[count], [&](uint32_t id) { return id >= vocabulary_; }))
    throw internal_error("a token beyond the vocabulary");
  // A text as a set of bits, read out in order: bits[w] has a bit for each token, filled[g] one for each bits[w] that
  // is not 0.
  std::vector<uint64_t> bits((vocabulary_ >> 6) + 1, 0), filled((vocabulary_ >> 12) + 1, 0);
  tokens_.resize(offsets_.back() + offsets[count] - offsets[0]);
  uint32_t* out = tokens_.data() + offsets_.back();
  for (size_t i = 0; i < count; i++) {
    const bool tailed = tails && tails[i] && offsets[i] != offsets[i + 1];
    const uint32_t* const last = ids + offsets[i + 1] - tailed;
    for (const uint32_t* id = ids + offsets[i]; id != last; id++) {
      bits[*id >> 6] |= uint64_t(1) << (*id & 63);
      filled[*id >> 12] |= uint64_t(1) << (*id >> 6 & 63);
    }
    const bool alone = tailed && !(bits[*last >> 6] >> (*last & 63) & 1);
    for (uint32_t g = 0; g < filled.size(); g++) {
      for (uint64_t words = std::exchange(filled[g], 0); words != 0; words &= words - 1) {
        const uint32_t w = g << 6 | uint32_t(__builtin_ctzll(words));
        for (uint64_t tokens = std::exchange(bits[w], 0); tokens != 0; tokens &= tokens - 1)
          *out++ = w << 6 | uint32_t(__builtin_ctzll(tokens));
      }
    }
    if (alone) *out++ = *last;
    tailed_.push_back(alone);
    domains_ = std::max(domains_, domain[i] + 1);
    offsets_.push_back(uint64_t(out - tokens_.data()));
    domain_.push_back(domain[i]);
  }
  tokens_.resize(offsets_.back());
}

std::vector<uint32_t> Pool::arrange(const std::vector<uint32_t>& rank) {
  if (rank.size() < domains_) throw internal_error("a rank for each domain");
  const size_t count = texts();
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  const auto first = [&](uint32_t text) { return tokens_.begin() + std::ptrdiff_t(offsets_[text]); };
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (domain_[a] != domain_[b]) return rank[domain_[a]] < rank[domain_[b]];
    if (tailed_[a] != tailed_[b]) return tailed_[a] < tailed_[b];
    return std::lexicographical_compare(first(a), first(a + 1), first(b), first(b + 1));
  });
  std::vector<uint64_t> offsets{0};
  std::vector<uint32_t> tokens, domain;
  std::vector<uint8_t> tailed;
  offsets.reserve(count + 1);
  tokens.reserve(tokens_.size());
  for (uint32_t text : order) {
    tokens.insert(tokens.end(), first(text), first(text + 1));
    offsets.push_back(tokens.size());
    domain.push_back(rank[domain_[text]]);
    tailed.push_back(tailed_[text]);
  }
  offsets_ = std::move(offsets);
  tokens_ = std::move(tokens);
  domain_ = std::move(domain);
  tailed_ = std::move(tailed);
  return order;
}

Counts::Counts(const Pool& pool, const std::vector<uint32_t>& chosen)
    : offsets(pool.vocabulary() + 1, 0), total(pool.vocabulary(), 0), texts(pool.domains(), 0),
      singletons(pool.domains(), 0), all(double(chosen.size())) {
  // texts in the order of their domains, so that a token's entries come sorted and equal ones meet
  std::vector<std::vector<uint32_t>> by_domain(pool.domains());
  for (uint32_t text : chosen) by_domain[pool.domain(text)].push_back(text);
  constexpr uint32_t kNone = ~0u;
  std::vector<uint32_t> last(pool.vocabulary(), kNone);
  for (uint32_t d = 0; d < pool.domains(); d++) {
    texts[d] = double(by_domain[d].size());
    for (uint32_t text : by_domain[d])
      for (const uint32_t* v = pool.begin(text); v != pool.end(text); v++) {
        total[*v]++;
        if (last[*v] != d) offsets[*v + 1]++;
        last[*v] = d;
      }
  }
  for (size_t v = 0; v < total.size(); v++) offsets[v + 1] += offsets[v];
  entries.resize(offsets.back());
  std::vector<uint64_t> at(offsets.begin(), offsets.end() - 1);
  for (uint32_t d = 0; d < pool.domains(); d++)
    for (uint32_t text : by_domain[d])
      for (const uint32_t* v = pool.begin(text); v != pool.end(text); v++) {
        if (at[*v] == offsets[*v] || entries[at[*v] - 1].domain != d) entries[at[*v]++] = {d, 0};
        entries[at[*v] - 1].texts++;
      }
  for (size_t v = 0; v < total.size(); v++)
    if (total[v] == 1) singletons[entries[offsets[v]].domain]++;
}

void Counts::remove(const Pool& pool, uint32_t text) {
  const auto count_singleton = [&](uint32_t v, double by) {
    if (total[v] != 1) return;
    for (uint64_t i = offsets[v]; i < offsets[v + 1]; i++)
      if (entries[i].texts > 0) singletons[entries[i].domain] += by;
  };
  const uint32_t domain = pool.domain(text);
  texts[domain]--;
  all--;
  for (const uint32_t* v = pool.begin(text); v != pool.end(text); v++) {
    count_singleton(*v, -1);
    const auto begin = entries.begin() + std::ptrdiff_t(offsets[*v]),
               end = entries.begin() + std::ptrdiff_t(offsets[*v + 1]);
    std::lower_bound(begin, end, domain, [](const Entry& entry, uint32_t d) { return entry.domain < d; })->texts--;
    total[*v]--;
    count_singleton(*v, 1);
  }
}

}  // namespace warp
