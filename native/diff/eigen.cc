#include "diff/eigen.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/error.h"

namespace warp::diff {
namespace {

// Reflections from both sides: column k keeps nothing below its first subdiagonal.
void reduce(std::vector<double>& a, size_t n, std::vector<double>& diagonal, std::vector<double>& beside) {
  std::vector<double> v(n), p(n);
  for (size_t k = 0; k + 2 < n; k++) {
    double square = 0;
    for (size_t i = k + 1; i < n; i++) square += a[i * n + k] * a[i * n + k];
    const double head = a[(k + 1) * n + k], length = std::sqrt(square);
    const double alpha = head > 0 ? -length : length;
    const double scale = square - alpha * head;  // half of |v|²
    beside[k] = alpha;
    if (!(scale > 0)) {  // the column is zero already
      beside[k] = head;
      continue;
    }
    for (size_t i = k + 1; i < n; i++) v[i] = a[i * n + k];
    v[k + 1] -= alpha;
    double along = 0;
    for (size_t i = k + 1; i < n; i++) {
      double sum = 0;
      for (size_t j = k + 1; j < n; j++) sum += a[i * n + j] * v[j];
      p[i] = sum / scale;
      along += p[i] * v[i];
    }
    along /= 2 * scale;
    for (size_t i = k + 1; i < n; i++) p[i] -= along * v[i];
    for (size_t i = k + 1; i < n; i++)
      for (size_t j = k + 1; j < n; j++) a[i * n + j] -= v[i] * p[j] + p[i] * v[j];
  }
  for (size_t i = 0; i < n; i++) diagonal[i] = a[i * n + i];
  if (n > 1) beside[n - 2] = a[(n - 1) * n + n - 2];
}

// One implicit QL step on rows first … last.
void step(std::vector<double>& d, std::vector<double>& e, size_t first, size_t last) {
  double g = (d[first + 1] - d[first]) / (2 * e[first]);
  double r = std::hypot(g, 1.0);
  g = d[last] - d[first] + e[first] / (g + std::copysign(r, g));
  double sine = 1, cosine = 1, p = 0;
  for (size_t i = last; i-- > first;) {
    double f = sine * e[i];
    const double b = cosine * e[i];
    r = std::hypot(f, g);
    e[i + 1] = r;
    if (r == 0) {
      d[i + 1] -= p;
      e[last] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * sine + 2 * cosine * b;
    p = sine * r;
    d[i + 1] = g + p;
    g = cosine * r - b;
  }
  d[first] -= p;
  e[first] = g;
  e[last] = 0;
}

}  // namespace

std::vector<double> eigenvalues(std::vector<double> matrix, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++) matrix[i * n + j] = matrix[j * n + i];
  std::vector<double> d(n), e(n + 1);
  reduce(matrix, n, d, e);
  double scale = 0;
  for (size_t i = 0; i < n; i++) scale = std::max(scale, std::fabs(d[i]) + std::fabs(e[i]));
  const double smallest = scale * std::numeric_limits<double>::epsilon();
  for (size_t first = 0; first < n; first++) {
    for (int round = 0;; round++) {
      size_t last = first;
      while (last + 1 < n && std::fabs(e[last]) > smallest) last++;
      if (last == first) break;
      if (round == 100) throw internal_error("eigenvalues do not converge");
      step(d, e, first, last);
    }
  }
  std::sort(d.begin(), d.end(), std::greater<double>());
  return d;
}

}  // namespace warp::diff
