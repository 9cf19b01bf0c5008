#include "ops/reference/backward.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace warp::reference {

double slope(Activation act, double x) {
  switch (act) {
    case Activation::kGelu:
      return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    case Activation::kGeluTanh: {
      const double c = std::sqrt(2 / M_PI), t = std::tanh(c * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::kRelu: return x > 0;
    case Activation::kTanh: return 1 - std::tanh(x) * std::tanh(x);
    default: return 1;
  }
}

Matrix outer(size_t rows, size_t outputs, size_t inputs, const Matrix& dy, const Matrix& x) {
  Matrix dw(outputs * inputs);
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < outputs; j++)
      for (size_t k = 0; k < inputs; k++) dw[j * inputs + k] += dy[r * outputs + j] * x[r * inputs + k];
  return dw;
}

NormGradients layer_norm_backward(size_t rows, size_t size, const Matrix& x, const Matrix& gain, double eps,
                                  const Matrix& dy) {
  NormGradients d{Matrix(x.size()), Matrix(size), Matrix(size)};
  const double n = double(size);
  for (size_t row = 0; row < rows; row++) {
    const double *v = x.data() + row * size, *g = dy.data() + row * size;
    double mean = 0, variance = 0, plain = 0, mixed = 0;
    for (size_t j = 0; j < size; j++) mean += v[j] / n;
    for (size_t j = 0; j < size; j++) variance += (v[j] - mean) * (v[j] - mean) / n;
    const double scale = 1 / std::sqrt(variance + eps);
    for (size_t j = 0; j < size; j++) {
      plain += g[j] * gain[j] / n;
      mixed += g[j] * gain[j] * (v[j] - mean) * scale / n;
    }
    for (size_t j = 0; j < size; j++) {
      const double hat = (v[j] - mean) * scale;
      d.x[row * size + j] = (g[j] * gain[j] - plain - hat * mixed) * scale;
      d.gain[j] += g[j] * hat;
      d.bias[j] += g[j];
    }
  }
  return d;
}

Matrix mask(const Dropout& dropout, uint32_t text, uint32_t position, size_t size) {
  Matrix factors(size);
  for (size_t i = 0; i < size; i++) {
    const auto block = philox({uint32_t(i / 8), position, text, dropout.step}, {dropout.key[0], dropout.key[1]});
    const uint32_t half = block[i % 8 / 2] >> (i % 2 * 16) & 0xffff;
    factors[i] = half < dropout.threshold ? 0 : 65536.0 / (65536 - dropout.threshold);
  }
  return factors;
}

AttentionGradients attention_backward(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                                      const std::vector<uint32_t>& queries, const Matrix& q, const Matrix& k,
                                      const Matrix& v, const Dropout& dropout, uint32_t first_text,
                                      const Matrix& dout) {
  const size_t width = heads * head_size;
  const double scale = 1 / std::sqrt(double(head_size));
  AttentionGradients d{Matrix(q.size()), Matrix(q.size()), Matrix(k.size()), Matrix(v.size())};
  for (size_t text = 0; text + 1 < offsets.size(); text++) {
    const size_t begin = offsets[text], length = offsets[text + 1] - begin;
    for (size_t row = 0; row < (queries.empty() ? length : length ? 1 : 0); row++)
      for (size_t head = 0; head < heads; head++) {
        const size_t position = queries.empty() ? row : queries[text], visible = causal ? position + 1 : length;
        const size_t at = (queries.empty() ? begin + row : text) * width + head * head_size;
        const auto key = [&](size_t j) { return (begin + j) * width + head * head_size; };
        const Matrix keep = mask(dropout, uint32_t((first_text + text) * heads + head), uint32_t(position), visible);
        Matrix p(visible), dp(visible);
        double top = -1e300, total = 0, mean = 0;
        for (size_t j = 0; j < visible; j++) {
          for (size_t i = 0; i < head_size; i++) p[j] += q[at + i] * k[key(j) + i] * scale;
          top = std::max(top, p[j]);
        }
        for (double& s : p) total += s = std::exp(s - top);
        for (size_t j = 0; j < visible; j++) {
          p[j] /= total;
          for (size_t i = 0; i < head_size; i++) {
            d.out[at + i] += p[j] * keep[j] * v[key(j) + i];
            d.v[key(j) + i] += p[j] * keep[j] * dout[at + i];
            dp[j] += dout[at + i] * v[key(j) + i] * keep[j];
          }
          mean += dp[j] * p[j];
        }
        for (size_t j = 0; j < visible; j++)
          for (size_t i = 0; i < head_size; i++) {
            d.q[at + i] += p[j] * (dp[j] - mean) * scale * k[key(j) + i];
            d.k[key(j) + i] += p[j] * (dp[j] - mean) * scale * q[at + i];
          }
      }
  }
  return d;
}

}  // namespace warp::reference
