#include <algorithm>
#include <cmath>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "temporary_weights.h"
#include "trace/dense.h"
#include "trace/tied.h"

using namespace warp;

namespace {

constexpr size_t kRows = 300, kColumns = 24;

struct Tables {
  std::vector<float> base, reference;
  std::vector<uint32_t> fit, odd;  // rows that follow the rule, rows that do not
};

// δ of a row is a linear function of its own direction plus noise; of every tenth row it is noise of the same size.
Tables made(uint64_t seed) {
  const Random random(seed, "tied");
  Tables tables;
  std::vector<double> weight(kColumns * kColumns);
  for (size_t i = 0; i < weight.size(); i++) weight[i] = random.word(i) / 4294967296.0 - 0.5;
  uint64_t at = weight.size();
  const auto noise = [&] { return random.word(at++) / 4294967296.0 - 0.5; };
  for (size_t v = 0; v < kRows; v++) {
    std::vector<double> row(kColumns);
    double norm = 0;
    for (double& x : row) norm += (x = noise()) * x;
    for (size_t j = 0; j < kColumns; j++) {
      double delta = 0;
      if (v % 10 == 0) delta = 2 * noise();
      else
        for (size_t k = 0; k < kColumns; k++)
          delta += weight[k * kColumns + j] * row[k] / std::sqrt(norm) + 0.02 * noise();
      tables.base.push_back(float(row[j]));
      tables.reference.push_back(float(row[j] + 1e-3 * delta));
    }
    (v % 10 == 0 ? tables.odd : tables.fit).push_back(uint32_t(v));
  }
  return tables;
}

TiedScores scores_of(const Tables& tables, uint32_t columns, int threads) {
  small::TemporaryWeights base, reference;
  base.add("table", Dtype::kF32, {kRows, kColumns}, tables.base);
  reference.add("table", Dtype::kF32, {kRows, kColumns}, tables.reference);
  Threads pool(threads);
  Context context;
  return tied_scores(*base.open(), *reference.open(), {"table", "table", tables.fit, columns}, pool, context);
}

using Matrix = std::vector<std::vector<double>>;

// a x = b by elimination with pivots; b has columns.
Matrix solve(Matrix a, Matrix b) {
  const size_t n = a.size();
  for (size_t i = 0; i < n; i++) {
    size_t pivot = i;
    for (size_t k = i; k < n; k++)
      if (std::fabs(a[k][i]) > std::fabs(a[pivot][i])) pivot = k;
    std::swap(a[i], a[pivot]);
    std::swap(b[i], b[pivot]);
    for (size_t k = 0; k < n; k++) {
      if (k == i) continue;
      const double factor = a[k][i] / a[i][i];
      for (size_t j = i; j < n; j++) a[k][j] -= factor * a[i][j];
      for (size_t j = 0; j < b[0].size(); j++) b[k][j] -= factor * b[i][j];
    }
  }
  for (size_t i = 0; i < n; i++)
    for (double& x : b[i]) x /= a[i][i];
  return b;
}

// The scores of every row by the header's definition, fitted on `fit`.
std::vector<double> naive(const Tables& tables, const std::vector<uint32_t>& fit) {
  Matrix u(kRows), f(kRows);
  for (size_t v = 0; v < kRows; v++) {
    double moved = 0, size = 0;
    for (size_t j = 0; j < kColumns; j++) {
      const double base = tables.base[v * kColumns + j],
                   delta = double(tables.reference[v * kColumns + j] - float(base));
      u[v].push_back(delta);
      f[v].push_back(base);
      moved += delta * delta;
      size += base * base;
    }
    for (double& x : u[v]) x /= std::sqrt(moved);
    for (double& x : f[v]) x /= std::sqrt(size);
    f[v].push_back(1);
    f[v].push_back(0.5 * std::log(size));
  }
  const size_t width = kColumns + 2, n = fit.size();
  Matrix squares(width, std::vector<double>(width)), products(width, std::vector<double>(kColumns));
  for (uint32_t v : fit)
    for (size_t i = 0; i < width; i++) {
      for (size_t j = 0; j < width; j++) squares[i][j] += f[v][i] * f[v][j];
      for (size_t j = 0; j < kColumns; j++) products[i][j] += f[v][i] * u[v][j];
    }
  for (size_t i = 0; i < width; i++) squares[i][i] += i < kColumns ? 0.5 * double(n) / kColumns : 1e-6 * double(n);
  const Matrix weight = solve(squares, products);
  for (size_t v = 0; v < kRows; v++)
    for (size_t j = 0; j < kColumns; j++)
      for (size_t i = 0; i < width; i++) u[v][j] -= f[v][i] * weight[i][j];
  Matrix covariance(kColumns, std::vector<double>(kColumns));
  double trace = 0;
  for (uint32_t v : fit)
    for (size_t i = 0; i < kColumns; i++)
      for (size_t j = 0; j < kColumns; j++) covariance[i][j] += u[v][i] * u[v][j] / double(n);
  for (size_t i = 0; i < kColumns; i++) trace += covariance[i][i];
  for (size_t i = 0; i < kColumns; i++) covariance[i][i] += 1e-3 * trace / kColumns;
  std::vector<double> scores;
  for (size_t v = 0; v < kRows; v++) {
    Matrix column;
    for (double x : u[v]) column.push_back({x});
    const Matrix solved = solve(covariance, column);
    double sum = 0;
    for (size_t j = 0; j < kColumns; j++) sum += solved[j][0] * u[v][j];
    scores.push_back(std::log(sum));
  }
  return scores;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

TEST(a_positive_matrix_is_the_product_of_its_triangle) {
  const size_t n = 7;
  const Random random(1, "triangle");
  std::vector<double> g(n * n), a(n * n), b(n * 3);
  for (size_t i = 0; i < g.size(); i++) g[i] = random.word(i) / 4294967296.0 - 0.5;
  for (size_t i = 0; i < b.size(); i++) b[i] = double(i) - 4;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      a[i * n + j] = i == j ? 0.1 : 0;
      for (size_t k = 0; k < n; k++) a[i * n + j] += g[i * n + k] * g[j * n + k];
    }
  std::vector<double> l = a, x = b;
  cholesky(l, n, 1e-12);
  triangular_solve(l, n, x, 3, true);
  // condition below 1e3: errors below 1e3 n 2^-53
  for (size_t i = 0; i < n; i++) {
    for (size_t j = i + 1; j < n; j++) CHECK(l[i * n + j] == 0);
    for (size_t c = 0; c < 3; c++) {
      double sum = 0;
      for (size_t j = 0; j < n; j++) sum += a[i * n + j] * x[j * 3 + c];
      CHECK(std::fabs(sum - b[i * 3 + c]) < 1e-11);
    }
  }
}

TEST(scores_are_their_definition) {
  const Tables tables = made(1);
  const TiedScores found = scores_of(tables, kColumns, 2);
  // the second fit leaves out what stands out in the first
  const std::vector<double> first = naive(tables, tables.fit);
  std::vector<double> fitted, far;
  for (uint32_t v : tables.fit) fitted.push_back(first[v]);
  const double middle = median(fitted);
  for (double score : fitted) far.push_back(std::fabs(score - middle));
  std::vector<uint32_t> kept;
  for (uint32_t v : tables.fit)
    if (first[v] <= middle + 4 * 1.4826 * median(far)) kept.push_back(v);
  CHECK(found.fitted == kept.size());
  CHECK(found.columns == kColumns);
  const std::vector<double> expected = naive(tables, kept);
  // float32 throughout: directions to 2^-22, residuals of a twentieth of them to 2^-17, their whitened squares to 2^-15
  // by the covariance's condition (below 1e3 with the shrinking, its root counts)
  for (size_t v = 0; v < kRows; v++) CHECK(std::fabs(found.score[v] - expected[v]) < 2e-3);
}

TEST(rows_that_do_not_follow_the_rule_stand_out) {
  const Tables tables = made(2);
  for (uint32_t columns : {uint32_t(kColumns), 12u}) {
    const TiedScores found = scores_of(tables, columns, 1);
    std::vector<double> followers, others;
    for (uint32_t v : tables.fit) followers.push_back(found.score[v]);
    for (uint32_t v : tables.odd) others.push_back(found.score[v]);
    CHECK(found.columns == columns);
    CHECK(median(others) > *std::max_element(followers.begin(), followers.end()));
  }
}

TEST(scores_have_the_same_bits_for_any_number_of_threads) {
  const Tables tables = made(3);
  const TiedScores one = scores_of(tables, 16, 1), three = scores_of(tables, 16, 3);
  CHECK(one.score == three.score && one.along == three.along && one.base == three.base && one.moved == three.moved);
}

TEST(a_row_that_did_not_move_has_no_score) {
  Tables tables = made(4);
  std::copy_n(tables.base.begin() + 5 * kColumns, kColumns, tables.reference.begin() + 5 * kColumns);
  const TiedScores found = scores_of(tables, kColumns, 2);
  CHECK(std::isnan(found.score[5]) && std::isnan(found.along[5]));
  CHECK(std::isfinite(found.score[4]) && std::isfinite(found.score[6]));
}

TEST_MAIN
