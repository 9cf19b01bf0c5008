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
    case Activation::kSilu: {
      const double s = 1 / (1 + std::exp(-x));
      return s + x * s * (1 - s);
    }
    default: return 1;
  }
}

Doubles outer(size_t rows, size_t outputs, size_t inputs, const Doubles& dy, const Doubles& x) {
  Doubles dw(outputs * inputs);
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < outputs; j++)
      for (size_t k = 0; k < inputs; k++) dw[j * inputs + k] += dy[r * outputs + j] * x[r * inputs + k];
  return dw;
}

NormGradients layer_norm_backward(size_t rows, size_t size, const Doubles& x, const Doubles& gain, double eps,
                                  const Doubles& dy) {
  NormCall call;
  call.rows = rows;
  call.size = size;
  call.epsilon = float(eps);
  return norm_backward(call, x, gain, dy);
}

Doubles mask(const Dropout& dropout, uint32_t text, uint32_t position, size_t size) {
  Doubles factors(size);
  for (size_t i = 0; i < size; i++) {
    const auto block = philox({uint32_t(i / 8), position, text, dropout.step}, {dropout.key[0], dropout.key[1]});
    const uint32_t half = block[i % 8 / 2] >> (i % 2 * 16) & 0xffff;
    factors[i] = half < dropout.threshold ? 0 : 65536.0 / (65536 - dropout.threshold);
  }
  return factors;
}

AttentionGradients attention_backward(const std::vector<uint32_t>& offsets, size_t heads, size_t head_size, bool causal,
                                      const std::vector<uint32_t>& queries, const Doubles& q, const Doubles& k,
                                      const Doubles& v, const Dropout& dropout, uint32_t first_text,
                                      const Doubles& dout) {
  AttentionCall call = plain_attention(offsets, heads, head_size, causal, queries);
  call.dropout = dropout;
  call.first_text = first_text;
  return attention_backward(call, q, k, v, dout);
}

}  // namespace warp::reference
