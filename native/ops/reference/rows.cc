// Operations by element and by row, and the language loss.
#include <algorithm>
#include <cmath>

#include "ops/reference/backward.h"

namespace warp::reference {
namespace {

template <class Body>
Doubles combine(const Doubles& a, const Doubles& b, Body body) {
  Doubles y(a.size());
  for (size_t i = 0; i < y.size(); i++) y[i] = body(a[i], b[i]);
  return y;
}

}  // namespace

Doubles activate(Activation act, const Doubles& x) {
  return combine(x, x, [=](double u, double) { return activate(act, u); });
}
Doubles activate_slope(Activation act, const Doubles& x, const Doubles& dx) {
  return combine(x, dx, [=](double u, double v) { return slope(act, u) * v; });
}
Doubles multiply(const Doubles& a, const Doubles& b) {
  return combine(a, b, [](double u, double v) { return u * v; });
}
Doubles multiply_add(const Doubles& a, const Doubles& b, const Doubles& y) { return add(multiply(a, b), y); }
Doubles softcap(double cap, const Doubles& x) {
  return combine(x, x, [=](double u, double) { return cap * std::tanh(u / cap); });
}
Doubles softcap_slope(double cap, const Doubles& y, const Doubles& dx) {
  return combine(y, dx, [=](double u, double v) { return v * (1 - u / cap * (u / cap)); });
}
Doubles scale(double factor, const Doubles& x) {
  return combine(x, x, [=](double u, double) { return u * factor; });
}

Doubles scatter_add(size_t size, const Doubles& x, const std::vector<uint32_t>& index, const Doubles& y) {
  Doubles out = y;
  for (size_t row = 0; row < index.size(); row++)
    for (size_t j = 0; j < size; j++) out[index[row] * size + j] += x[row * size + j];
  return out;
}

Doubles rope(const RopeCall& call, const Doubles& cos, const Doubles& sin, const Doubles& x) {
  const size_t half = call.rotary / 2;
  Doubles y = x;
  for (size_t row = 0; row < call.rows; row++)
    for (size_t head = 0; head < call.heads; head++)
      for (size_t j = 0; j < half; j++) {
        const size_t a = (row * call.heads + head) * call.head_size + j, b = a + half,
                     angle = call.positions[row] * half + j;
        const double s = call.inverse ? -sin[angle] : sin[angle];
        y[a] = x[a] * cos[angle] - x[b] * s;
        y[b] = x[b] * cos[angle] + x[a] * s;
      }
  return y;
}

CrossEntropy cross_entropy(size_t size, const Doubles& logits, const std::vector<uint32_t>& target, double weight) {
  CrossEntropy out{{}, logits};
  for (size_t row = 0; row < target.size(); row++) {
    double* z = &out.e[row * size];
    const double top = *std::max_element(z, z + size), goal = z[target[row]];
    double total = 0;
    for (size_t j = 0; j < size; j++) total += z[j] = std::exp(z[j] - top);
    for (size_t j = 0; j < size; j++) z[j] *= weight / total;
    z[target[row]] -= weight;
    out.loss.push_back(std::log(total) + top - goal);
  }
  return out;
}

Doubles row_dots(size_t rows, size_t size, const Doubles& a, const Doubles& b) {
  Doubles dots(rows);
  for (size_t i = 0; i < rows * size; i++) dots[i / size] += a[i] * b[i];
  return dots;
}

}  // namespace warp::reference
