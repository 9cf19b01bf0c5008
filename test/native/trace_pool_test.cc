#include <set>

#include "check.h"
#include "core/error.h"
#include "core/random.h"
#include "trace/outside.h"
#include "trace/pool.h"
#include "trace/tails.h"

using namespace warp;

namespace {

std::vector<uint32_t> tokens_of(const Pool& pool, size_t text) { return {pool.begin(text), pool.end(text)}; }

}  // namespace

// Against std::set; vocabularies about the sizes of one word of bits (64) and of one group of words (4096).
TEST(a_text_holds_each_of_its_tokens_once_in_order) {
  for (uint32_t vocabulary : {1u, 63u, 64u, 65u, 4095u, 4096u, 4097u, 30522u}) {
    const Random random(vocabulary, "pool");
    Pool pool(vocabulary);
    std::vector<std::set<uint32_t>> expected;
    uint64_t drawn = 0;
    for (size_t batch : {0, 1, 5, 2}) {
      std::vector<uint32_t> offsets{3}, ids(3, 0), domain;  // offsets need not begin at 0
      for (size_t i = 0; i < batch; i++) {
        const size_t length = i % 2 ? 0 : 100;  // a text without a token among them
        expected.emplace_back();
        for (size_t k = 0; k < length; k++) {
          ids.push_back(uint32_t(uint64_t(random.word(drawn++)) * vocabulary >> 32));
          if (k == 0) ids.back() = vocabulary - 1;
          expected.back().insert(ids.back());
        }
        offsets.push_back(uint32_t(ids.size()));
        domain.push_back(uint32_t(i % 3));
      }
      pool.append(offsets.data(), ids.data(), domain.data(), batch);
    }
    CHECK(pool.texts() == expected.size());
    CHECK(pool.domains() == 3);
    for (size_t i = 0; i < expected.size(); i++)
      CHECK(tokens_of(pool, i) == std::vector<uint32_t>(expected[i].begin(), expected[i].end()));
  }
}

TEST(a_token_beyond_the_vocabulary_is_refused_and_nothing_is_added) {
  Pool pool(70);
  const uint32_t offsets[] = {0, 1, 3}, ids[] = {69, 3, 70}, domain[] = {0, 1};
  bool refused = false;
  try {
    pool.append(offsets, ids, domain, 2);
  } catch (const Error&) {
    refused = true;
  }
  CHECK(refused);
  CHECK(pool.texts() == 0 && pool.domains() == 0);
  pool.append(offsets, ids, domain, 1);
  CHECK(tokens_of(pool, 0) == std::vector<uint32_t>{69});
}

TEST(a_tail_stands_last_and_counts_only_when_asked) {
  Pool pool(100);
  // its own tail, a tail that occurs before, no tail, one token that is the tail, nothing
  const uint32_t offsets[] = {0, 3, 6, 8, 9, 9}, ids[] = {9, 7, 8, 5, 6, 5, 2, 1, 4}, domain[] = {0, 0, 0, 0, 0};
  const uint8_t tails[] = {1, 1, 0, 1, 1};
  pool.append(offsets, ids, domain, 5, tails);
  const std::vector<std::vector<uint32_t>> inner{{7, 9}, {5, 6}, {1, 2}, {}, {}},
      all{{7, 9, 8}, {5, 6}, {1, 2}, {4}, {}};
  for (size_t i = 0; i < 5; i++) {
    CHECK(tokens_of(pool, i) == inner[i]);
    CHECK((pool.tail(i) != nullptr) == (i == 0 || i == 3));
  }
  CHECK(*pool.tail(0) == 8 && *pool.tail(3) == 4);
  pool.count_tails(true);
  for (size_t i = 0; i < 5; i++) CHECK(tokens_of(pool, i) == all[i]);
}

TEST(tails_and_other_tokens_are_counted_where_all_else_is_trained) {
  Pool pool(10);
  std::vector<uint8_t> state(10, Outside::kTrained);
  state[8] = state[9] = Outside::kUntrained;
  state[7] = Outside::kUnknown;
  //                          tail 3    tail 9    inner 8    two wrong  unknown
  const uint32_t offsets[] = {0, 3, 6, 9, 12, 15}, ids[] = {1, 2, 3, 1, 2, 9, 1, 8, 4, 8, 1, 9, 7, 1, 4},
                 domain[] = {0, 0, 0, 0, 0};
  const uint8_t tails[] = {1, 1, 1, 1, 1};
  pool.append(offsets, ids, domain, 5, tails);
  for (bool counting : {false, true}) {
    pool.count_tails(counting);
    const TailCounts counts = count_tails(pool, state);
    // 1 is in five texts (bin 2), 2, 4, 8, 9 in two (bin 1), 3 and 7 in one
    CHECK(counts.tail_trained[0] == 1 && counts.tail_trained[1] == 0);
    CHECK(counts.tail_untrained[1] == 1 && counts.tail_untrained[0] == 0);
    CHECK(counts.inner_trained[2] == 1 && counts.inner_trained[1] == 1 && counts.inner_trained[0] == 0);
    CHECK(counts.inner_untrained[1] == 1 && counts.inner_untrained[2] == 0);
    CHECK(counts.token_trained[2] == 1 && counts.token_trained[1] == 2 && counts.token_trained[0] == 1);
    CHECK(counts.token_untrained[1] == 2 && counts.token_untrained[0] == 0);
  }
}

TEST_MAIN
