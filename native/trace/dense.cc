#include "trace/dense.h"

#include <algorithm>
#include <cmath>

namespace warp {

void cholesky(std::vector<double>& a, size_t n, double least) {
  for (size_t i = 0; i < n; i++) {
    double* const row = a.data() + i * n;
    for (size_t j = 0; j <= i; j++) {
      const double* const other = a.data() + j * n;
      double sum = row[j];
      for (size_t k = 0; k < j; k++) sum -= row[k] * other[k];
      row[j] = i == j ? std::sqrt(std::max(sum, least)) : sum / other[j];
    }
    std::fill(row + i + 1, row + n, 0.0);
  }
}

void triangular_solve(const std::vector<double>& l, size_t n, std::vector<double>& b, size_t columns, bool back) {
  const auto subtract = [&](size_t to, size_t from, double factor) {
    double* const x = b.data() + to * columns;
    const double* const y = b.data() + from * columns;
    for (size_t c = 0; c < columns; c++) x[c] -= factor * y[c];
  };
  const auto divide = [&](size_t i) {
    for (size_t c = 0; c < columns; c++) b[i * columns + c] /= l[i * n + i];
  };
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < i; k++) subtract(i, k, l[i * n + k]);
    divide(i);
  }
  if (!back) return;
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; k++) subtract(i, k, l[k * n + i]);
    divide(i);
  }
}

}  // namespace warp
