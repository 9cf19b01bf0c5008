#include <set>

#include "check.h"
#include "core/error.h"
#include "core/random.h"
#include "trace/pool.h"

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

TEST_MAIN
