#include "ops/reference/reference.h"

#include <algorithm>
#include <cmath>

namespace warp::reference {

double activate(Activation act, double x) {
  switch (act) {
    case Activation::kGelu: return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kRelu: return std::max(x, 0.0);
    case Activation::kTanh: return std::tanh(x);
    default: return x;
  }
}

Matrix linear(size_t rows, size_t outputs, size_t inputs, const Matrix& x, const Matrix& weight, const Matrix& bias,
              Activation act) {
  Matrix y(rows * outputs);
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < outputs; j++) {
      double sum = bias.empty() ? 0 : bias[j];
      for (size_t k = 0; k < inputs; k++) sum += x[r * inputs + k] * weight[j * inputs + k];
      y[r * outputs + j] = activate(act, sum);
    }
  return y;
}

Matrix layer_norm(size_t rows, size_t size, const Matrix& x, const Matrix& r, const Matrix& gain, const Matrix& bias,
                  double eps) {
  Matrix y = r.empty() ? x : add(x, r);
  for (size_t row = 0; row < rows; row++) {
    double* v = y.data() + row * size;
    double mean = 0, variance = 0;
    for (size_t j = 0; j < size; j++) mean += v[j] / double(size);
    for (size_t j = 0; j < size; j++) variance += (v[j] - mean) * (v[j] - mean) / double(size);
    for (size_t j = 0; j < size; j++) v[j] = (v[j] - mean) / std::sqrt(variance + eps) * gain[j] + bias[j];
  }
  return y;
}

Matrix add(const Matrix& x, const Matrix& y) {
  Matrix sum = y;
  for (size_t i = 0; i < x.size(); i++) sum[i] += x[i];
  return sum;
}

Matrix attention(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                 const std::vector<uint32_t>& queries, const Matrix& q, const Matrix& k, const Matrix& v) {
  const size_t width = heads * head_size;
  Matrix out(q.size());
  for (size_t text = 0; text + 1 < offsets.size(); text++) {
    const size_t begin = offsets[text], length = offsets[text + 1] - begin;
    for (size_t row = 0; row < (queries.empty() ? length : length ? 1 : 0); row++) {
      const size_t position = queries.empty() ? row : queries[text],
                   at = (queries.empty() ? begin + row : text) * width;
      const size_t visible = causal ? position + 1 : length;
      for (size_t head = 0; head < heads; head++) {
        const size_t column = head * head_size;
        std::vector<double> score(visible);
        double top = -1e300, total = 0;
        for (size_t j = 0; j < visible; j++) {
          for (size_t i = 0; i < head_size; i++) score[j] += q[at + column + i] * k[(begin + j) * width + column + i];
          score[j] /= std::sqrt(double(head_size));
          top = std::max(top, score[j]);
        }
        for (double& s : score) total += s = std::exp(s - top);
        for (size_t j = 0; j < visible; j++)
          for (size_t i = 0; i < head_size; i++)
            out[at + column + i] += score[j] / total * v[(begin + j) * width + column + i];
      }
    }
  }
  return out;
}

Matrix gather(size_t size, const Matrix& x, const std::vector<uint32_t>& index) {
  Matrix y;
  for (uint32_t row : index) y.insert(y.end(), x.begin() + long(row * size), x.begin() + long((row + 1) * size));
  return y;
}

Matrix embed(size_t size, const std::vector<Matrix>& tables, const std::vector<std::vector<uint32_t>>& index) {
  Matrix y(index.empty() ? 0 : index[0].size() * size);
  for (size_t t = 0; t < tables.size(); t++)
    for (size_t row = 0; row < index[t].size(); row++)
      for (size_t j = 0; j < size; j++) y[row * size + j] += tables[t][index[t][row] * size + j];
  return y;
}

}  // namespace warp::reference
