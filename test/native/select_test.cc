// Choices among documents: products against gradients that are written out, greedy against the loop over all of them.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <tuple>

#include "check.h"
#include "select_documents.h"

namespace warp {
namespace {

// Gradients that all lean towards one direction, some of them backwards.
void finish(Documents& documents, std::mt19937& random) {
  std::normal_distribution<double> normal;
  const size_t size = documents.written[0].size();
  std::vector<double> direction(size, 0.0);
  for (const std::vector<double>& g : documents.written)
    for (size_t j = 0; j < size; j++) direction[j] += g[j] + 0.3 * normal(random);
  const double length = std::sqrt(dot(direction, direction));
  for (const std::vector<double>& g : documents.written) {
    documents.along.push_back(dot(g, direction) / length);
    documents.norm2.push_back(dot(g, g));
  }
}

const std::vector<Factors> kPieces = {{0, 3, 3, 10}, {13, 5, 18, 7}};

Documents factored(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  auto candidates = std::make_shared<FactoredCandidates>(kPieces);
  Documents documents;
  for (size_t i = 0; i < count; i++) {
    std::vector<float> row(candidates->width());
    for (float& value : row) value = normal(random) + 0.4f;
    candidates->rows().append(row.data(), 1);
    std::vector<double> g;
    for (const Factors& p : kPieces)
      for (size_t r = 0; r < p.u_size; r++) {
        for (size_t j = 0; j < p.w_size; j++) g.push_back(double(row[p.u + r]) * double(row[p.w + j]));
        g.push_back(row[p.u + r]);
      }
    documents.written.push_back(g);
  }
  documents.candidates = std::move(candidates);
  finish(documents, random);
  return documents;
}

Documents sparse(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  constexpr size_t kTokens = 40;
  auto candidates = std::make_shared<SparseCandidates>(kTokens);
  Documents documents;
  for (size_t i = 0; i < count; i++) {
    std::vector<double> g(kTokens, 0.0);
    std::vector<uint32_t> index, offsets{0, 0};
    std::vector<float> value;
    for (uint32_t v = 0; v < kTokens; v++)
      if (random() % 5 == 0 || v == i % kTokens) {
        index.push_back(v);
        value.push_back(float(1 + random() % 7) / 3);
        g[v] = value.back();
      }
    offsets[1] = uint32_t(index.size());
    candidates->append(offsets.data(), 1, index.data(), value.data());
    documents.written.push_back(g);
  }
  documents.candidates = std::move(candidates);
  finish(documents, random);
  return documents;
}

Picks run(const Documents& documents, const Choice& choice, size_t batch, int threads, const Tries& tries = {}) {
  Threads workers(threads);
  Context context;
  return greedy(*documents.candidates, documents.along, documents.norm2, choice, batch, workers, context, tries);
}

// Few enough that hundreds of documents are dealt with as a hundred thousand are: near ones of near ones, picks that
// do not stand, products that are added up for a while.
constexpr Tries kSmall = {5, 4, 3, 8, 24};
constexpr Tries kOne = {1, 2, 1, 1, 1};

}  // namespace

// Both sum some 100 products of float32 numbers in double precision: 100 · 2⁻⁵³ of the largest sum, here below 10³.
TEST(products_are_those_of_the_gradients) {
  for (const Documents& documents : {factored(30, 1), sparse(30, 2)}) {
    const Candidates& candidates = *documents.candidates;
    CHECK(candidates.count() == 30);
    CHECK(candidates.size() == documents.written[0].size());
    std::vector<double> sum(candidates.size(), 0.0), expected(candidates.size(), 0.0);
    for (size_t i = 0; i < 30; i++) {
      candidates.add(sum.data(), i, 0.5 + double(i));
      for (size_t j = 0; j < expected.size(); j++) expected[j] += (0.5 + double(i)) * documents.written[i][j];
    }
    for (size_t i = 0; i < 30; i++) {
      CHECK_NEAR(candidates.against(sum.data(), i), dot(expected, documents.written[i]), 1e-9);
      for (size_t j = 0; j < 30; j++)
        CHECK_NEAR(candidates.product(i, j), dot(documents.written[i], documents.written[j]), 1e-11);
    }
  }
}

TEST(pieces_without_a_factor_are_plain_vectors) {
  FactoredCandidates candidates({{0, 0, 0, 5}, {5, 0, 5, 2}});
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6, 7, -1, 0, 2, 0, 1, 3, -2};
  candidates.rows().append(rows.data(), 2);
  CHECK(candidates.size() == 7 && candidates.width() == 7);
  CHECK(candidates.product(0, 1) == -1 + 6 + 5 + 18 - 14);
  std::vector<double> sum(7, 0.0);
  candidates.add(sum.data(), 1, 2);
  CHECK(candidates.against(sum.data(), 0) == 28);
  CHECK(candidates.quick_product(0, 1) == 14);
}

// With rows of every remainder of those that a look takes together, and tails of its lanes.
TEST(quick_looks_keep_their_bound) {
  for (uint32_t rows : {1u, 3u, 4u, 5u, 8u, 11u})
    for (uint32_t width : {0u, 1u, 31u, 32u, 33u, 97u, 384u}) {
      FactoredCandidates candidates({{0, rows, rows, width}});
      std::vector<float> numbers(6 * candidates.width());
      for (size_t i = 0; i < numbers.size(); i++) numbers[i] = float(std::sin(1.7 * double(i) + rows));
      candidates.rows().append(numbers.data(), 6);
      const auto panel = candidates.panel({4, 0, 5});
      std::vector<float> products(6 * 3, NAN);
      panel->products(0, 4, products.data());
      panel->products(4, 2, products.data() + 4 * 3);
      for (size_t i = 0; i < 6; i++) {
        const double own = std::sqrt(candidates.product(i, i)), bound = candidates.quick_error() * own;
        for (size_t j = 0; j < 6; j++)
          CHECK_NEAR(candidates.quick_product(i, j), candidates.product(i, j),
                     bound * std::sqrt(candidates.product(j, j)));
        for (size_t k = 0; k < 3; k++) {
          const size_t j = std::vector<size_t>{4, 0, 5}[k];
          CHECK_NEAR(products[i * 3 + k], candidates.product(i, j), bound * std::sqrt(candidates.product(j, j)));
        }
      }
    }
}

TEST(panels_of_plain_vectors_and_of_tokens_keep_their_bound) {
  FactoredCandidates plain({{0, 0, 0, 300}, {300, 2, 302, 129}});
  std::vector<float> rows(3 * plain.width());
  for (size_t i = 0; i < rows.size(); i++) rows[i] = float(std::cos(0.9 * double(i)));
  plain.rows().append(rows.data(), 3);
  const Documents tokens = sparse(40, 3);
  for (const Candidates* candidates : std::initializer_list<const Candidates*>{&plain, tokens.candidates.get()}) {
    const auto some = candidates->some({2, 0});
    for (size_t i = 0; i < 2; i++) CHECK(some->product(i, 1) == candidates->product(i == 0 ? 2 : 0, 0));
    const auto panel = candidates->panel({2, 1, 1});
    const size_t count = candidates->count();
    std::vector<float> products(count * 3, NAN);
    panel->products(0, count, products.data());
    for (size_t i = 0; i < count; i++)
      for (size_t k = 0; k < 3; k++) {
        const size_t j = k == 0 ? 2 : 1;
        const double lengths = candidates->product(i, i) * candidates->product(j, j);
        CHECK_NEAR(products[i * 3 + k], candidates->product(i, j), candidates->quick_error() * std::sqrt(lengths));
      }
  }
}

TEST(greedy_picks_what_the_loop_over_all_picks) {
  for (unsigned seed = 0; seed < 6; seed++) {
    const Documents documents = seed % 2 ? sparse(700, seed) : factored(700, seed);
    for (size_t batch : {size_t(0), size_t(16)}) {
      const Choice choice = everything(700, 90);
      const Picks picks = run(documents, choice, batch, 1);
      CHECK(picks.document == naive(documents, choice, batch));
      CHECK(picks.cosine.size() == 90);
      for (const Tries& tries : {kSmall, kOne}) {
        const Picks same = run(documents, choice, batch, 2, tries);
        CHECK(same.document == picks.document);
        CHECK(same.cosine == picks.cosine);
      }
    }
  }
}

// A direction that is far from every document, and one that a sum can reach; steps against it only.
TEST(greedy_picks_what_the_loop_picks_near_the_end_and_below_zero) {
  for (double lean : {1.0, -1.0}) {
    Documents documents = factored(300, 21);
    for (double& along : documents.along) along = lean > 0 ? along : -std::abs(along);
    for (size_t count : {size_t(1), size_t(299), size_t(300)})
      for (const Tries& tries : {Tries{}, kSmall, kOne})
        CHECK(run(documents, everything(300, count), 0, 2, tries).document ==
              naive(documents, everything(300, count), 0));
  }
}

TEST(no_documents_give_no_picks_and_one_gives_itself) {
  const Documents documents = factored(1, 3);
  Choice none = everything(1, 5);
  CHECK(run(documents, none, 0, 1).document == std::vector<uint32_t>{0});
  none.allowed[0] = 0;
  CHECK(run(documents, none, 0, 1).document.empty());
}

// The same rows in two files, most of them not in memory: the same picks, the same bits.
TEST(rows_may_stay_in_files) {
  const Documents documents = factored(2500, 12);
  const auto& held = static_cast<FactoredCandidates&>(*documents.candidates);
  const size_t width = held.width();
  std::vector<float> rows;
  for (size_t i = 0; i < 2500; i++) {
    const RowView row = static_cast<FactoredCandidates&>(*documents.candidates).rows().row(i);
    rows.insert(rows.end(), static_cast<const float*>(row), row + width);
  }
  char name_of[] = "/tmp/warp-select-XXXXXX";
  ::close(::mkstemp(name_of));
  const std::string name = name_of;
  for (const auto& [part, first, count] : {std::tuple{".a", 0, 1000}, std::tuple{".b", 1000, 1500}}) {
    std::FILE* file = std::fopen((name + part).c_str(), "wb");
    std::fputs("12345", file);  // rows begin anywhere
    std::fwrite(rows.data() + size_t(first) * width, sizeof(float), size_t(count) * width, file);
    std::fclose(file);
  }
  for (size_t room : {size_t(0), size_t(40), size_t(2000), size_t(5000)})
    for (size_t batch : {size_t(0), size_t(50)}) {
      auto filed = std::make_shared<FactoredCandidates>(kPieces);
      filed->rows().append_file(name + ".a", 5, 1000);
      filed->rows().append_file(name + ".b", 5, 1500);
      filed->rows().set_room(room);
      Documents other = documents;
      other.candidates = filed;
      const Choice choice = everything(2500, 200);
      const Picks there = run(other, choice, batch, 2, kSmall), here = run(documents, choice, batch, 1);
      CHECK(there.document == here.document);
      CHECK(there.cosine == here.cosine);
      CHECK(filed->rows().bytes() <= (size_t(17) << 20));
      Context context;
      const std::vector<uint8_t> allowed(2500, 1);
      CHECK(matching(*filed, other.along, other.norm2, allowed, 3, 0, context) ==
            matching(*documents.candidates, other.along, other.norm2, allowed, 3, 0, context));
    }
  std::remove(name_of);
  std::remove((name + ".a").c_str());
  std::remove((name + ".b").c_str());
}

TEST(greedy_goes_over_all_documents_once_for_many_picks) {
  const Picks picks = run(factored(3000, 9), everything(3000, 300), 0, 1, {200, 8, 32, 128, 1024});
  CHECK(picks.document.size() == 300);
  CHECK(picks.passes < 100);
}

TEST(greedy_gives_the_same_bits_for_any_threads) {
  const Documents documents = factored(2000, 4);
  for (const Tries& tries : {Tries{}, kSmall}) {
    const Choice choice = everything(2000, 150);
    const Picks one = run(documents, choice, 0, 1, tries), three = run(documents, choice, 0, 3, tries);
    CHECK(one.document == three.document);
    CHECK(one.cosine == three.cosine);
    CHECK(one.passes == three.passes);
  }
}

TEST(quotas_hold) {
  const Documents documents = factored(400, 5);
  Choice choice = everything(400, 60);
  choice.quota = {10, 45, 5};
  for (size_t i = 0; i < 400; i++) choice.group.push_back(uint32_t(i % 3));
  for (size_t i = 0; i < 400; i += 7) choice.allowed[i] = 0;
  const Picks picks = run(documents, choice, 0, 2);
  CHECK(picks.document == naive(documents, choice, 0));
  for (const Tries& tries : {kSmall, kOne}) CHECK(run(documents, choice, 0, 2, tries).document == picks.document);
  std::vector<size_t> counts(3, 0);
  for (uint32_t i : picks.document) counts[i % 3]++;
  CHECK(counts[0] == 10 && counts[1] == 45 && counts[2] == 5);
}

TEST(ranks_break_ties_by_the_order_of_documents) {
  const std::vector<double> score = {1, 3, 2, 3, 1, 2};
  Choice choice = everything(6, 4);
  CHECK((rank(score, choice) == std::vector<uint32_t>{1, 3, 2, 5}));
  choice.allowed[1] = 0;
  CHECK((rank(score, choice) == std::vector<uint32_t>{3, 2, 5, 0}));
  choice.group = {0, 0, 1, 1, 0, 1};
  choice.quota = {2, 1};
  CHECK((rank(score, choice) == std::vector<uint32_t>{3, 0, 4}));
}

TEST(repeated_documents_come_in_their_order) {
  Documents many;
  auto candidates = std::make_shared<FactoredCandidates>(kPieces);
  std::vector<float> row(candidates->width(), 0.5f);
  for (size_t i = 0; i < 50; i++) candidates->rows().append(row.data(), 1);
  many.candidates = std::move(candidates);
  many.norm2.assign(50, many.candidates->product(0, 0));
  many.along.assign(50, 0.5 * std::sqrt(many.norm2[0]));
  for (const Tries& tries : {Tries{}, kSmall, kOne}) {
    const Picks picks = run(many, everything(50, 50), 0, 2, tries);
    for (size_t i = 0; i < 50; i++) CHECK(picks.document[i] == i);
  }
}

// At the minimum no weight can be raised or lowered with profit: the pull on a document is 0 where its weight is above
// 0, and not above 0 where it is 0. A sweep that gains less than 1e-14 of 1 leaves pulls below √(1e-14 · ‖g‖²).
TEST(matching_ends_where_no_document_pulls) {
  const Documents documents = factored(60, 8);
  Context context;
  const std::vector<uint8_t> allowed(60, 1);
  const std::vector<double> weight =
      matching(*documents.candidates, documents.along, documents.norm2, allowed, 100000, 1e-14, context);
  std::vector<double> sum(documents.written[0].size(), 0.0);
  for (size_t i = 0; i < 60; i++)
    for (size_t j = 0; j < sum.size(); j++) sum[j] += weight[i] * documents.written[i][j];
  size_t positive = 0;
  for (size_t i = 0; i < 60; i++) {
    const double pull = documents.along[i] - dot(sum, documents.written[i]);
    const double slack = std::sqrt(1e-14 * documents.norm2[i]) * 60;
    CHECK(pull < slack);
    if (weight[i] > 0) CHECK(pull > -slack);
    positive += weight[i] > 0;
  }
  CHECK(positive > 1);
}

}  // namespace warp

TEST_MAIN
