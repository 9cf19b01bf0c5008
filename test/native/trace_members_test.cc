#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "check.h"
#include "core/random.h"
#include "trace/members.h"

using namespace warp;

namespace {

struct Text {
  std::vector<uint32_t> tokens;
  uint32_t domain;
};

Pool pool_of(const std::vector<Text>& texts, uint32_t vocabulary) {
  Pool pool(vocabulary);
  for (const Text& text : texts) {
    const uint32_t offsets[] = {0, uint32_t(text.tokens.size())};
    pool.append(offsets, text.tokens.data(), &text.domain, 1);
  }
  return pool;
}

std::vector<uint32_t> all(const Pool& pool) {
  std::vector<uint32_t> texts(pool.texts());
  std::iota(texts.begin(), texts.end(), 0u);
  return texts;
}

// Texts of `domains` domains whose tokens are squared uniform numbers (common small ids), shifted by domain.
std::vector<Text> random_texts(size_t count, uint32_t domains, uint32_t vocabulary, uint64_t seed) {
  const Random random(seed, "texts");
  std::vector<Text> texts(count);
  uint64_t at = 0;
  for (size_t i = 0; i < count; i++) {
    texts[i].domain = uint32_t(i % domains);
    const size_t length = 3 + random.word(at++) % 10;
    for (size_t k = 0; k < length; k++) {
      const double u = random.word(at++) / 4294967296.0;
      const uint32_t rank = uint32_t(u * u * u * vocabulary);
      texts[i].tokens.push_back((rank * (texts[i].domain + 1)) % vocabulary);
    }
  }
  return texts;
}

bool same(const Counts& a, const Counts& b) {
  if (a.total != b.total || a.texts != b.texts || a.singletons != b.singletons || a.all != b.all) return false;
  for (size_t v = 0; v < a.total.size(); v++) {
    std::vector<double> left(a.texts.size()), right(a.texts.size());
    for (uint64_t i = a.offsets[v]; i < a.offsets[v + 1]; i++) left[a.entries[i].domain] += a.entries[i].texts;
    for (uint64_t i = b.offsets[v]; i < b.offsets[v + 1]; i++) right[b.entries[i].domain] += b.entries[i].texts;
    if (left != right) return false;
  }
  return true;
}

// The likelihood by its definition in the header, with dense rates.
double naive_likelihood(const std::vector<Text>& texts, uint32_t vocabulary, uint32_t domains,
                        const std::vector<uint8_t>& state, const std::vector<double>& explained, double strength,
                        const std::vector<double>& phi) {
  std::vector<double> n(domains), m(domains);
  std::vector<std::vector<double>> k(vocabulary, std::vector<double>(domains));
  for (const Text& text : texts) {
    n[text.domain]++;
    for (uint32_t v : std::set<uint32_t>(text.tokens.begin(), text.tokens.end())) k[v][text.domain]++;
  }
  const double every = std::accumulate(n.begin(), n.end(), 0.0);
  double sum = 0, fresh = 0, expected = 0, once = 0, twice = 0;
  for (const std::vector<double>& counts : k) {
    const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
    once += total == 1;
    twice += total == 2;
  }
  const double discount = once / (once + 2 * twice);
  for (uint32_t v = 0; v < vocabulary; v++) {
    const double total = std::accumulate(k[v].begin(), k[v].end(), 0.0);
    double eta = 0;
    for (uint32_t d = 0; d < domains; d++) {
      eta += (k[v][d] + strength * (total - k[v][d]) / (every - n[d])) * phi[d];
      if (total > 0 && k[v][d] == total) eta -= discount * phi[d];
      if (total == 1) m[d] += k[v][d];
    }
    if (state[v] == Outside::kUntrained) sum -= eta;
    if (state[v] == Outside::kTrained && total > 0) sum += std::log(1 - std::exp(-explained[v] - eta));
    if (state[v] == Outside::kTrained && total == 0) fresh++;
  }
  for (uint32_t d = 0; d < domains; d++) expected += m[d] * (std::exp(discount * phi[d]) - 1) / discount;
  return sum + fresh * std::log(expected) - expected;
}

}  // namespace

TEST(removing_texts_leaves_the_counts_of_the_rest) {
  const std::vector<Text> texts = random_texts(60, 3, 40, 1);
  const Pool pool = pool_of(texts, 40);
  Counts counts(pool, all(pool));
  std::vector<uint32_t> rest;
  for (uint32_t i = 0; i < 60; i++) {
    if (i % 4 == 1) counts.remove(pool, i);
    else rest.push_back(i);
  }
  CHECK(same(counts, Counts(pool, rest)));
}

TEST(the_outside_likelihood_is_its_definition_and_its_maximum_is_found) {
  for (uint64_t seed = 0; seed < 8; seed++) {
    const uint32_t domains = seed % 2 ? 3 : 2, vocabulary = 60;
    const std::vector<Text> texts = random_texts(90, domains, vocabulary - 4, seed);
    const Pool pool = pool_of(texts, vocabulary);
    std::vector<uint8_t> state(vocabulary);
    std::vector<double> explained(vocabulary);
    const Random random(seed, "state");
    for (uint32_t v = 0; v < vocabulary; v++) {
      state[v] = uint8_t(random.word(2 * v) % 5 == 0 ? 2 : random.word(2 * v) % 2);
      explained[v] = random.word(2 * v + 1) % 3 ? 0 : random.word(2 * v + 1) / 4294967296.0;
    }
    state[vocabulary - 1] = seed % 3 ? 1 : 0;  // a token that no text holds
    const double strength = 20;
    const Counts counts(pool, all(pool));
    Outside outside(counts, state, strength);
    const auto naive = [&](const std::vector<double>& phi) {
      return naive_likelihood(texts, vocabulary, domains, state, explained, strength, phi);
    };
    const std::vector<double> somewhere(domains, 0.3);
    CHECK_NEAR(outside.likelihood(somewhere, explained), naive(somewhere), 1e-8 * std::fabs(naive(somewhere)));

    Context context;
    const double found = outside.maximise(explained, context);
    // brute force: coordinates in turn, over steps from 1 to 2^-26 and through zero
    std::vector<double> best(domains, 0.1);
    for (double step = 1; step > 1e-8; step /= 2)
      for (bool better = true; better;) {
        better = false;
        for (uint32_t d = 0; d < domains; d++)
          for (double sign : {-1.0, 1.0}) {
            std::vector<double> next = best;
            next[d] = std::max(1e-12, best[d] + sign * step);
            if (naive(next) > naive(best) + 1e-12) best = next, better = true;
          }
      }
    CHECK_NEAR(found, naive(best), 1e-5);  // both searches stop at gains far below this
  }
}

// Above 64 domains the curvature is never a matrix. The likelihood is concave in φ ≥ 0 but for tokens that are new: at
// its maximum no coordinate alone has anything to gain; slopes by central differences, which err by about 1e-5.
TEST(many_domains_find_the_maximum_too) {
  for (uint32_t domains : {65u, 90u}) {
    const uint32_t vocabulary = 400;
    const std::vector<Text> texts = random_texts(8 * domains, domains, vocabulary - 4, domains);
    const Pool pool = pool_of(texts, vocabulary);
    std::vector<uint8_t> state(vocabulary);
    std::vector<double> explained(vocabulary);
    const Random random(domains, "state");
    for (uint32_t v = 0; v < vocabulary; v++) {
      state[v] = uint8_t(random.word(2 * v) % 5 != 0);
      explained[v] = random.word(2 * v + 1) % 3 ? 0 : random.word(2 * v + 1) / 4294967296.0;
    }
    const Counts counts(pool, all(pool));
    Outside outside(counts, state, 20);
    Context context;
    const double found = outside.maximise(explained, context);
    CHECK_NEAR(found, outside.likelihood(outside.phi, explained), 1e-9 * std::fabs(found));
    const double step = 1e-5;
    size_t inner = 0;
    for (uint32_t d = 0; d < domains; d++) {
      std::vector<double> up = outside.phi, down = outside.phi;
      up[d] += step;
      down[d] = std::max(0.0, down[d] - step);
      const double slope =
          (outside.likelihood(up, explained) - outside.likelihood(down, explained)) / (up[d] - down[d]);
      if (outside.phi[d] > step) inner++;
      CHECK(outside.phi[d] > step ? std::fabs(slope) < 1e-2 : slope < 1e-2);
    }
    CHECK(inner > 5);
  }
}

TEST(thousands_of_domains_are_near_linear_and_stop_when_asked_to) {
  const uint32_t domains = 5000, vocabulary = 3000;
  const Pool pool = pool_of(random_texts(4 * domains, domains, vocabulary, 7), vocabulary);
  std::vector<uint8_t> state(vocabulary);
  const Random random(7, "state");
  for (uint32_t v = 0; v < vocabulary; v++) state[v] = uint8_t(random.word(v) % 3 != 0);
  Context calm;
  const Members members = find_members(pool, {state, {}}, {{0.3, true}, {0.1, false}}, calm);
  CHECK(members.estimates.size() == 2 && members.estimates[0].outside.size() == domains);
  for (uint64_t look : {1, 5, 20, 40}) {
    Context context;
    context.cancel_at_look(look);
    bool stopped = false;
    try {
      find_members(pool, {state, {}}, {{0.3, true}, {0.1, false}}, context);
    } catch (const Cancelled&) {
      stopped = true;
    }
    CHECK(stopped);
  }
}

TEST(a_text_with_a_token_of_its_own_is_a_member_and_one_with_an_untrained_token_is_not) {
  // tokens 0…9 are everyone's; text i has 10 + i to itself
  std::vector<Text> texts;
  for (uint32_t i = 0; i < 30; i++) texts.push_back({{i % 10, (i + 3) % 10, 10 + i}, i % 2});
  const Pool pool = pool_of(texts, 40);
  std::vector<uint8_t> state(40, 0);
  for (uint32_t i = 0; i < 30; i += 3)
    for (uint32_t v : texts[i].tokens) state[v] = 1;
  Context context;
  const Members found = find_members(pool, {state, {}}, {{0.3, true}}, context);
  CHECK(found.survivors.size() == 10);
  double inside = 0;
  for (size_t j = 0; j < found.survivors.size(); j++) {
    CHECK(found.survivors[j] % 3 == 0);
    CHECK(found.probability[j] > 0.5);
    inside += found.probability[j];
  }
  CHECK_NEAR(inside, found.estimates[0].inside[0] + found.estimates[0].inside[1], 1e-9);
}

TEST(unknown_tokens_neither_exclude_nor_speak) {
  const std::vector<Text> texts = {{{0, 1}, 0}, {{0, 2}, 0}, {{0, 3}, 1}};
  const Pool pool = pool_of(texts, 4);
  Context context;
  const Members found = find_members(pool, {{1, 2, 0, 2}, {}}, {{0.3, true}}, context);
  CHECK((found.survivors == std::vector<uint32_t>{0, 2}));
}

TEST(trials_do_not_depend_on_the_number_of_threads) {
  const std::vector<Text> texts = random_texts(400, 4, 300, 5);
  const Pool pool = pool_of(texts, 300);
  std::vector<Trial> trials(6);
  for (size_t i = 0; i < trials.size(); i++) trials[i] = {{5, 10, 15, 0}, {10, 5, 0, 15}, {5, 10, 15, 0}, i};
  const std::vector<uint8_t> state(300, 0);
  Context context;
  Threads one(1), three(3);
  const auto a = try_members(pool, {state, {}}, {}, trials, {{0.3, true}, {3, true}, {3, false}}, one, context);
  const auto b = try_members(pool, {state, {}}, {}, trials, {{0.3, true}, {3, true}, {3, false}}, three, context);
  CHECK(a.size() == 18);
  for (size_t i = 0; i < a.size(); i++) CHECK(a[i].inside == b[i].inside && a[i].outside == b[i].outside);
  CHECK(a[0].inside != a[3].inside);
  CHECK(a[2].inside == std::vector<double>(4, 0) && a[2].outside != a[1].outside);
}

TEST(work_stops_when_asked_to) {
  const Pool pool = pool_of(random_texts(50, 2, 60, 5), 60);
  Context context;
  context.cancel();
  bool stopped = false;
  try {
    find_members(pool, {std::vector<uint8_t>(60, 1), {}}, {{0.3, true}}, context);
  } catch (const Cancelled&) {
    stopped = true;
  }
  CHECK(stopped);
}

TEST(scores_that_leave_no_doubt_are_as_good_as_states) {
  const std::vector<Text> texts = random_texts(300, 2, 200, 5);
  const Pool pool = pool_of(texts, 200);
  std::vector<uint8_t> state(200, Outside::kUntrained);
  for (size_t i = 0; i < 60; i++)
    for (uint32_t v : texts[i].tokens) state[v] = Outside::kTrained;
  std::vector<double> sure(200), unsure(200);
  for (size_t v = 0; v < 200; v++) sure[v] = state[v] == Outside::kTrained ? 1 : -1e9;
  for (size_t v = 0; v < 200; v++) unsure[v] = state[v] == Outside::kTrained ? 1 - 1e-3 : -1e3;
  Context context;
  const Members hard = find_members(pool, {state, {}}, {{0.3, true}}, context);
  for (const std::vector<double>& pull : {sure, unsure}) {
    const Members soft =
        find_members(pool, {std::vector<uint8_t>(200, Outside::kUnknown), pull}, {{0.3, true}}, context);
    CHECK(soft.survivors.size() == texts.size());
    // chances of tokens are found in turns with the rest, so both stop where the number settles to 3e-4 of itself
    for (size_t d = 0; d < 2; d++) CHECK(std::fabs(soft.estimates[0].inside[d] - hard.estimates[0].inside[d]) < 3);
    std::vector<double> of(texts.size(), 0);
    for (size_t i = 0; i < hard.survivors.size(); i++) of[hard.survivors[i]] = hard.probability[i];
    for (size_t j = 0; j < texts.size(); j++) CHECK(std::fabs(soft.probability[j] - of[j]) < 0.2);
  }
  const Members nothing =
      find_members(pool, {std::vector<uint8_t>(200, Outside::kUnknown), std::vector<double>(200, -20)}, {{0.3, true}},
                   context);
  CHECK(nothing.estimates[0].inside[0] + nothing.estimates[0].inside[1] < 3);
}

TEST(trials_draw_scores_by_their_seed_only) {
  const Pool pool = pool_of(random_texts(200, 2, 120, 6), 120);
  const Tokens tokens{std::vector<uint8_t>(120, Outside::kUnknown), std::vector<double>(120, 0.5)};
  const DrawnScores clear{{-50}, {1 - 1e-6}}, dull{{0.1, -0.1}, {0.1, -0.1}};
  const std::vector<Trial> trials{{{20, 20}, {0, 0}, {10, 10}, 1}, {{30, 10}, {5, 5}, {0, 0}, 2}};
  Threads one(1), three(3);
  Context context;
  const auto a = try_members(pool, tokens, clear, trials, {{0.3, true}, {0.3, false}}, one, context);
  const auto b = try_members(pool, tokens, clear, trials, {{0.3, true}, {0.3, false}}, three, context);
  for (size_t i = 0; i < a.size(); i++) CHECK(a[i].inside == b[i].inside && a[i].outside == b[i].outside);
  CHECK(a[0].inside[0] + a[0].inside[1] > 20);
  const auto c = try_members(pool, tokens, dull, trials, {{0.3, true}}, one, context);
  CHECK(c[0].inside != a[0].inside);
}

TEST_MAIN
