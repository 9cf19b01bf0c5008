#pragma once
// Candidate texts as sets of tokens, and how often each token occurs in the texts of each domain.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace warp {

class Pool {
 public:
  explicit Pool(uint32_t vocabulary) : vocabulary_(vocabulary) {}

  // Texts i in [0, count): ids[offsets[i], offsets[i + 1]), each token kept once. Domains are numbered from 0.
  // tails: texts whose last token may have moved no row; null: none. Where it occurs nowhere else in the text, it
  // counts only while `tails_count`.
  void append(const uint32_t* offsets, const uint32_t* ids, const uint32_t* domain, size_t count,
              const uint8_t* tails = nullptr);
  void count_tails(bool yes) { tails_count_ = yes; }
  // Puts the texts in an order that depends on what they are, not on how they came: by domain, numbered anew by its
  // `rank`, then by their tokens. Returns where each of the texts was before.
  std::vector<uint32_t> arrange(const std::vector<uint32_t>& rank);

  uint32_t domains() const { return domains_; }
  uint32_t vocabulary() const { return vocabulary_; }
  size_t texts() const { return domain_.size(); }
  uint32_t domain(size_t text) const { return domain_[text]; }
  const uint32_t* begin(size_t text) const { return tokens_.data() + offsets_[text]; }
  const uint32_t* end(size_t text) const {
    return tokens_.data() + offsets_[text + 1] - (tailed_[text] && !tails_count_ ? 1 : 0);
  }
  // The last token of the text where it may have moved no row, null where there is none or it occurs before.
  const uint32_t* tail(size_t text) const { return tailed_[text] ? tokens_.data() + offsets_[text + 1] - 1 : nullptr; }

 private:
  uint32_t domains_ = 0, vocabulary_;
  std::vector<uint64_t> offsets_{0};
  std::vector<uint32_t> tokens_, domain_;
  std::vector<uint8_t> tailed_;  // the text's last entry is its tail, out of the order
  bool tails_count_ = false;
};

// Texts per token and domain over a part of the pool. Rows are tokens; only pairs that occur are stored.
struct Counts {
  struct Entry {
    uint32_t domain, texts;
  };
  std::vector<uint64_t> offsets;   // vocabulary + 1
  std::vector<Entry> entries;      // by token, then by domain
  std::vector<uint32_t> total;     // vocabulary: texts with the token
  std::vector<double> texts;       // domains: texts
  std::vector<double> singletons;  // domains: tokens that occur in one text only, and that is of this domain
  double all = 0;                  // texts

  // chosen: the texts that count, in any order
  Counts(const Pool& pool, const std::vector<uint32_t>& chosen);
  // Takes a text out that was counted; pairs that no longer occur stay, with zero texts.
  void remove(const Pool& pool, uint32_t text);
};

}  // namespace warp
