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
    case Activation::kSilu: return x / (1 + std::exp(-x));
    default: return x;
  }
}

Doubles linear(size_t rows, size_t outputs, size_t inputs, const Doubles& x, const Doubles& weight, const Doubles& bias,
               Activation act) {
  Doubles y(rows * outputs);
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < outputs; j++) {
      double sum = bias.empty() ? 0 : bias[j];
      for (size_t k = 0; k < inputs; k++) sum += x[r * inputs + k] * weight[j * inputs + k];
      y[r * outputs + j] = activate(act, sum);
    }
  return y;
}

Doubles layer_norm(size_t rows, size_t size, const Doubles& x, const Doubles& r, const Doubles& gain,
                   const Doubles& bias, double eps) {
  NormCall call;
  call.rows = rows;
  call.size = size;
  call.epsilon = float(eps);
  return norm(call, r.empty() ? x : add(x, r), gain, bias);
}

Doubles add(const Doubles& x, const Doubles& y) {
  Doubles sum = y;
  for (size_t i = 0; i < x.size(); i++) sum[i] += x[i];
  return sum;
}

AttentionCall plain_attention(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                              const std::vector<uint32_t>& queries) {
  AttentionCall call;
  call.texts = offsets.size() - 1;
  call.offsets = offsets.data();
  call.heads = call.kv_heads = heads;
  call.head_size = head_size;
  call.causal = causal;
  call.scale = float(1 / std::sqrt(double(head_size)));
  if (!queries.empty()) call.queries = queries.data();
  return call;
}

Doubles attention(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                  const std::vector<uint32_t>& queries, const Doubles& q, const Doubles& k, const Doubles& v) {
  return attention(plain_attention(offsets, heads, head_size, causal, queries), q, k, v);
}

Doubles gather(size_t size, const Doubles& x, const std::vector<uint32_t>& index) {
  Doubles y;
  for (uint32_t row : index) y.insert(y.end(), x.begin() + long(row * size), x.begin() + long((row + 1) * size));
  return y;
}

Doubles embed(size_t size, const std::vector<Doubles>& tables, const std::vector<std::vector<uint32_t>>& index) {
  Doubles y(index.empty() ? 0 : index[0].size() * size);
  for (size_t t = 0; t < tables.size(); t++)
    for (size_t row = 0; row < index[t].size(); row++)
      for (size_t j = 0; j < size; j++) y[row * size + j] += tables[t][index[t][row] * size + j];
  return y;
}

}  // namespace warp::reference
