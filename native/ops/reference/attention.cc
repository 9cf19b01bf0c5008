// attention, its tangent and its gradients: one query of one head after the other.
#include <algorithm>
#include <cmath>

#include "ops/reference/backward.h"

namespace warp::reference {
namespace {

// What one query of one head sees.
struct Query {
  size_t at;                 // of its first number in q and out
  std::vector<size_t> keys;  // of each key's first number in k and v
  Doubles p, slope, keep;    // probabilities; d score / d (q · k), caps and scale within; dropout's factors
};

template <class Body>
void for_each_query(const AttentionCall& c, const Doubles& q, const Doubles& k, Body body) {
  const size_t width = c.heads * c.head_size, kv_width = c.kv_heads * c.head_size;
  for (size_t text = 0; text < c.texts; text++) {
    const size_t begin = c.offsets[text], length = c.offsets[text + 1] - begin;
    for (size_t row = 0; row < (c.queries ? (length ? 1 : 0) : length); row++)
      for (size_t head = 0; head < c.heads; head++) {
        const size_t i = c.queries ? c.queries[text] : row;
        Query query{(c.queries ? text : begin + row) * width + head * c.head_size, {}, {}, {}, {}};
        const Doubles mask =
            reference::mask(c.dropout, uint32_t((c.first_text + text) * c.heads + head), uint32_t(i), length);
        for (size_t j = 0; j < length; j++) {
          if (c.causal && j > i) continue;
          if (c.window && (i > j ? i - j : j - i) >= c.window) continue;
          const size_t key = (begin + j) * kv_width + head * c.kv_heads / c.heads * c.head_size;
          double s = 0;
          for (size_t d = 0; d < c.head_size; d++) s += q[query.at + d] * k[key + d];
          const double cap = double(c.softcap), t = cap > 0 ? std::tanh(s * double(c.scale) / cap) : 0;
          query.keys.push_back(key);
          query.p.push_back(cap > 0 ? cap * t : s * double(c.scale));
          query.slope.push_back(double(c.scale) * (1 - t * t));
          query.keep.push_back(mask[j]);
        }
        const double top = *std::max_element(query.p.begin(), query.p.end());
        double total = 0;
        for (double& s : query.p) total += s = std::exp(s - top);
        for (double& s : query.p) s /= total;
        body(query);
      }
  }
}

double dot(const Doubles& a, size_t i, const Doubles& b, size_t j, size_t count) {
  double sum = 0;
  for (size_t d = 0; d < count; d++) sum += a[i + d] * b[j + d];
  return sum;
}

}  // namespace

// Attention of a text that ends at the row's token, which alone asks.
Doubles attention_step(const StepCall& c, const Doubles& q, const std::vector<Doubles>& keys,
                       const std::vector<Doubles>& values) {
  const size_t width = c.heads * c.head_size;
  Doubles out;
  for (size_t row = 0; row < c.rows; row++) {
    const uint32_t position = c.positions[row], offsets[] = {0, position + 1};
    AttentionCall call;
    call.texts = 1;
    call.offsets = offsets;
    call.heads = c.heads;
    call.kv_heads = c.kv_heads;
    call.head_size = c.head_size;
    call.causal = true;
    call.window = c.window;
    call.scale = c.scale;
    call.softcap = c.softcap;
    call.queries = &position;
    const Doubles one(q.begin() + long(row * width), q.begin() + long((row + 1) * width));
    const Doubles y = attention(call, one, keys[row], values[row]);
    out.insert(out.end(), y.begin(), y.end());
  }
  return out;
}

Doubles attention(const AttentionCall& c, const Doubles& q, const Doubles& k, const Doubles& v) {
  Doubles out(q.size());
  for_each_query(c, q, k, [&](const Query& query) {
    for (size_t j = 0; j < query.keys.size(); j++)
      for (size_t d = 0; d < c.head_size; d++) out[query.at + d] += query.p[j] * query.keep[j] * v[query.keys[j] + d];
  });
  return out;
}

Doubles attention_tangent(const AttentionCall& c, const Doubles& q, const Doubles& k, const Doubles& v,
                          const Doubles& dq, const Doubles& dk, const Doubles& dv) {
  Doubles out(q.size());
  for_each_query(c, q, k, [&](const Query& query) {
    Doubles ds(query.keys.size());
    double mean = 0;
    for (size_t j = 0; j < ds.size(); j++) {
      if (!dq.empty()) ds[j] += dot(dq, query.at, k, query.keys[j], c.head_size) * query.slope[j];
      if (!dk.empty()) ds[j] += dot(q, query.at, dk, query.keys[j], c.head_size) * query.slope[j];
      mean += query.p[j] * ds[j];
    }
    for (size_t j = 0; j < ds.size(); j++)
      for (size_t d = 0; d < c.head_size; d++)
        out[query.at + d] +=
            query.p[j] * (ds[j] - mean) * v[query.keys[j] + d] + (dv.empty() ? 0 : query.p[j] * dv[query.keys[j] + d]);
  });
  return out;
}

AttentionGradients attention_backward(const AttentionCall& c, const Doubles& q, const Doubles& k, const Doubles& v,
                                      const Doubles& dout) {
  AttentionGradients g{attention(c, q, k, v), Doubles(q.size()), Doubles(k.size()), Doubles(v.size())};
  for_each_query(c, q, k, [&](const Query& query) {
    Doubles dp(query.keys.size());
    double mean = 0;
    for (size_t j = 0; j < dp.size(); j++) {
      dp[j] = dot(dout, query.at, v, query.keys[j], c.head_size) * query.keep[j];
      mean += dp[j] * query.p[j];
    }
    for (size_t j = 0; j < dp.size(); j++)
      for (size_t d = 0; d < c.head_size; d++) {
        const double ds = query.p[j] * (dp[j] - mean) * query.slope[j];
        g.v[query.keys[j] + d] += query.p[j] * query.keep[j] * dout[query.at + d];
        g.q[query.at + d] += ds * k[query.keys[j] + d];
        g.k[query.keys[j] + d] += ds * q[query.at + d];
      }
  });
  return g;
}

}  // namespace warp::reference
