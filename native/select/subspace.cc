#include "select/subspace.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace warp {

Axes axes_of(std::vector<double> m, size_t size) {
  std::vector<double> v(size * size, 0.0);
  for (size_t i = 0; i < size; i++) v[i * size + i] = 1;
  for (int sweep = 0; sweep < 60; sweep++) {
    double off = 0, all = 0;
    for (size_t i = 0; i < size; i++)
      for (size_t j = 0; j < size; j++) (i == j ? all : off) += m[i * size + j] * m[i * size + j];
    if (off <= 1e-30 * all) break;
    for (size_t p = 0; p + 1 < size; p++)
      for (size_t q = p + 1; q < size; q++) {
        const double pq = m[p * size + q];
        if (pq == 0) continue;
        const double theta = (m[q * size + q] - m[p * size + p]) / (2 * pq);
        const double t = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        const auto turn = [&](double& a, double& b) {
          const double x = a, y = b;
          a = c * x - s * y;
          b = s * x + c * y;
        };
        for (size_t k = 0; k < size; k++) turn(m[k * size + p], m[k * size + q]);
        for (size_t k = 0; k < size; k++) turn(m[p * size + k], m[q * size + k]);
        for (size_t k = 0; k < size; k++) turn(v[p * size + k], v[q * size + k]);
      }
  }
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return m[a * size + a] > m[b * size + b]; });
  Axes axes;
  for (size_t i : order) {
    axes.values.push_back(m[i * size + i]);
    axes.vectors.insert(axes.vectors.end(), &v[i * size], &v[i * size] + size);
  }
  return axes;
}

Subspace::Subspace(const Candidates& candidates, std::vector<uint32_t> documents)
    : candidates_(candidates), documents_(std::move(documents)) {
  const size_t m = documents_.size();
  std::vector<double> products(m * m);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j <= i; j++)
      products[i * m + j] = products[j * m + i] = candidates.product(documents_[i], documents_[j]);
  const Axes axes = axes_of(std::move(products), m);
  for (size_t k = 0; k < std::min(m, kScreenRank); k++) {
    if (axes.values[k] <= 1e-9 * axes.values[0]) break;  // lost in the rounding of the products
    for (size_t j = 0; j < m; j++) weights_.push_back(axes.vectors[k * m + j] / std::sqrt(axes.values[k]));
  }
}

void Subspace::coordinates(size_t i, double* to) const {
  std::fill_n(to, kScreenRank, 0.0);
  const size_t m = documents_.size();
  for (size_t j = 0; j < m; j++) {
    const double product = candidates_.product(i, documents_[j]);
    for (size_t k = 0; k * m < weights_.size(); k++) to[k] += weights_[k * m + j] * product;
  }
}

}  // namespace warp
