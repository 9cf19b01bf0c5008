// Gradients over the q-th power of their second moments, against gradients that are written out in double precision.
#include "select/precondition.h"

#include <unistd.h>

#include <random>
#include <string>

#include "check.h"
#include "select_documents.h"

namespace warp {
namespace {

// Of odd sizes, of one number each, of a bias alone.
const std::vector<Factors> kPieces = {{0, 3, 3, 13}, {16, 1, 17, 1}, {18, 5, 23, 0}};
constexpr size_t kWidth = 23;

// Numbers of sizes from 1e-4 to 1e4 by column; column 4 is 0 everywhere, column 1 but for documents not allowed.
std::vector<float> rows_of(size_t count, const std::vector<uint8_t>& allowed, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> rows(count * kWidth);
  for (size_t i = 0; i < count; i++)
    for (size_t c = 0; c < kWidth; c++) {
      const float value = (normal(random) + 0.3f) * std::pow(10.0f, float(int(c * 5 % 9) - 4));
      rows[i * kWidth + c] = c == 4 || (c == 1 && allowed[i]) ? 0 : value;
    }
  return rows;
}

std::vector<uint8_t> allowed_of(size_t count) {
  std::vector<uint8_t> allowed(count, 1);
  for (size_t i = 3; i < count; i += 7) allowed[i] = 0;
  return allowed;
}

// g′ of every document, straight from what it is.
std::vector<std::vector<double>> written_of(const std::vector<float>& rows, const std::vector<uint8_t>& allowed,
                                            double q) {
  const size_t count = allowed.size();
  const auto root_mean_square = [&](size_t c) {
    double sum = 0, of = 0;
    for (size_t i = 0; i < count; i++)
      if (allowed[i]) sum += double(rows[i * kWidth + c]) * double(rows[i * kWidth + c]), of++;
    return std::sqrt(sum / of);
  };
  std::vector<std::vector<double>> written(count);
  for (const Factors& p : kPieces)
    for (size_t r = p.u; r < p.u + p.u_size; r++)
      for (size_t c = p.w; c <= p.w + p.w_size; c++) {
        const bool bias = c == p.w + p.w_size;
        const double moment = root_mean_square(r) * (bias ? 1 : root_mean_square(c));
        for (size_t i = 0; i < count; i++) {
          const double g = double(rows[i * kWidth + r]) * (bias ? 1 : double(rows[i * kWidth + c]));
          written[i].push_back(moment > 0 ? g / std::pow(moment, q) : 0);
        }
      }
  return written;
}

std::vector<double> direction_of(size_t size) {
  std::vector<double> v(size);
  for (size_t j = 0; j < size; j++) v[j] = std::sin(1.3 * double(j)) - 0.4;
  const double length = std::sqrt(dot(v, v));
  for (double& d : v) d /= length;
  return v;
}

DocumentNumbers divide(FactoredCandidates& candidates, double q, const std::vector<uint8_t>& allowed, int count) {
  Threads threads(count);
  Context context;
  candidates.rows().scale(precondition_factors(candidates.rows(), q, allowed, threads, context));
  return numbers_of(candidates, direction_of(candidates.size()), allowed, threads, context);
}

}  // namespace

// A factor is rounded to float32 once, so a number of g′ is off by 2 · 2⁻²⁴ of itself, a product of two gradients by
// twice that of the lengths; 1.01 for second orders, powers and sums in double precision.
constexpr double kRounded = 1.01 * 2 * 0x1p-24;

TEST(products_lengths_and_the_direction_are_those_of_the_divided_gradients) {
  for (size_t count : {size_t(1), size_t(2), size_t(31), size_t(600)})
    for (double q : {0.25, 0.5, 1.0}) {
      const std::vector<uint8_t> allowed = allowed_of(count);
      const std::vector<float> rows = rows_of(count, allowed, unsigned(count));
      const std::vector<std::vector<double>> written = written_of(rows, allowed, q);
      FactoredCandidates candidates(kPieces);
      candidates.rows().append(rows.data(), count);
      const DocumentNumbers found = divide(candidates, q, allowed, 2);
      const std::vector<double> v = direction_of(candidates.size());
      for (size_t i = 0; i < count; i++) {
        if (!allowed[i]) {
          CHECK(found.along[i] == 0 && found.norm2[i] == 0);
          continue;
        }
        const double norm2 = dot(written[i], written[i]);
        CHECK(std::isfinite(found.norm2[i]));
        CHECK_NEAR(found.norm2[i], norm2, 2 * kRounded * norm2);
        CHECK_NEAR(found.along[i], -dot(written[i], v), kRounded * std::sqrt(norm2));
        for (size_t j = 0; j < std::min(count, size_t(40)); j++)
          if (allowed[j])
            CHECK_NEAR(candidates.product(i, j), dot(written[i], written[j]),
                       2 * kRounded * std::sqrt(norm2 * dot(written[j], written[j])));
      }
    }
}

// Its own size is the root mean square: q = 1 leaves the signs.
TEST(one_document_is_divided_by_itself) {
  const std::vector<float> row = rows_of(1, {1}, 5);
  FactoredCandidates candidates(kPieces);
  candidates.rows().append(row.data(), 1);
  divide(candidates, 1, {1}, 1);
  const RowView divided = candidates.rows().row(0);
  for (size_t c = 0; c < kWidth; c++) CHECK_NEAR(divided[c], row[c] == 0 ? 0 : row[c] > 0 ? 1 : -1, 0x1p-24);
}

TEST(where_all_is_zero_nothing_becomes_a_number_that_is_none) {
  FactoredCandidates candidates(kPieces);
  const std::vector<float> rows(5 * kWidth, 0.0f);
  candidates.rows().append(rows.data(), 5);
  const DocumentNumbers found = divide(candidates, 1, std::vector<uint8_t>(5, 1), 1);
  for (size_t i = 0; i < 5; i++) CHECK(found.norm2[i] == 0 && found.along[i] == 0);
}

TEST(greedy_picks_what_the_loop_over_divided_gradients_picks) {
  for (unsigned seed = 0; seed < 4; seed++)
    for (double q : {0.5, 1.0}) {
      const size_t count = 500;
      Choice choice = everything(count, 70);
      choice.allowed = allowed_of(count);
      const std::vector<float> rows = rows_of(count, choice.allowed, seed + 70);
      auto candidates = std::make_shared<FactoredCandidates>(kPieces);
      candidates->rows().append(rows.data(), count);
      const DocumentNumbers found = divide(*candidates, q, choice.allowed, 1);
      Documents naively;
      naively.written = written_of(rows, choice.allowed, q);
      for (std::vector<double>& g : naively.written) {
        naively.along.push_back(-dot(g, direction_of(g.size())));
        naively.norm2.push_back(dot(g, g));
      }
      const std::vector<uint32_t> expected = naive(naively, choice, 0);
      for (const Tries& tries : {Tries{}, Tries{5, 4, 3, 8, 24}}) {
        Threads threads(2);
        Context context;
        CHECK(greedy(*candidates, found.along, found.norm2, choice, 0, threads, context, tries).document == expected);
      }
    }
}

// The same rows in files, of which a stretch is in memory at a time, in parts of any size: the same bits.
TEST(the_same_bits_from_files_and_for_any_threads) {
  const size_t count = 200003;  // 18 MB: more than a stretch
  const std::vector<uint8_t> allowed = allowed_of(count);
  const std::vector<float> rows = rows_of(count, allowed, 9);
  FactoredCandidates held(kPieces);
  held.rows().append(rows.data(), count);
  const DocumentNumbers expected = divide(held, 0.5, allowed, 1);
  char name_of[] = "/tmp/warp-select-XXXXXX";
  ::close(::mkstemp(name_of));
  std::FILE* file = std::fopen(name_of, "wb");
  std::fputs("123", file);
  std::fwrite(rows.data(), sizeof(float), rows.size(), file);
  std::fclose(file);
  for (size_t part : {size_t(7001), size_t(99999), count}) {
    FactoredCandidates filed(kPieces);
    for (size_t first = 0; first < count; first += part)
      filed.rows().append_file(name_of, 3 + first * kWidth * sizeof(float), std::min(part, count - first));
    filed.rows().set_room(40);
    const DocumentNumbers found = divide(filed, 0.5, allowed, 3);
    CHECK(found.along == expected.along && found.norm2 == expected.norm2);
    const auto some = filed.some({7, 199999});
    for (size_t c = 0; c < kWidth; c++) CHECK(filed.rows().row(7)[c] == held.rows().row(7)[c]);
    CHECK(some->product(0, 1) == held.product(7, 199999));
  }
  std::remove(name_of);
}

}  // namespace warp

TEST_MAIN
