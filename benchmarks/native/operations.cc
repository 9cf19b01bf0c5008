// The CPU's operations against the same sums as simple loops (one thread, its own time, as this compiler makes them),
// and the tangent of attention against its forward pass, the product rate of `linear` beside it. Prints one JSON
// object; see cases/operations.mjs.
//   operations ROUNDS
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "core/random.h"
#include "ops/backward.h"

using namespace warp;

namespace {

double now() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

using Floats = std::vector<float>;
int rounds = 5;

// Least seconds of each of `bodies`, which take turns.
std::vector<double> best(const std::vector<std::function<void()>>& bodies) {
  std::vector<double> least(bodies.size(), 1e30);
  for (int round = 0; round < rounds; round++)
    for (size_t i = 0; i < bodies.size(); i++) {
      const double start = now();
      bodies[i]();
      least[i] = std::min(least[i], now() - start);
    }
  return least;
}

Floats numbers(size_t count, const char* name) {
  const Random random(1, name);
  Floats out(count);
  for (size_t i = 0; i < count; i++) out[i] = float(random.normal(i));
  return out;
}

bool more = false;
void print(const std::string& name, double value) {
  std::printf("%s\"%s\":%.3g", more ? "," : "", name.c_str(), value);
  more = true;
}

void rms_norm(const Ops& ops) {
  const size_t rows = 96, size = 2048;
  const Floats x = numbers(rows * size, "x"), dx = numbers(rows * size, "dx"), gain = numbers(size, "g");
  Floats y(x.size());
  NormCall c;
  c.rows = rows;
  c.size = size;
  c.center = false;
  c.epsilon = 1e-5f;
  c.gain = gain.data();
  const auto scale_of = [&](size_t r) {
    double sum = 0;
    for (size_t j = 0; j < size; j++) sum += double(x[r * size + j]) * double(x[r * size + j]);
    return float(1 / std::sqrt(sum / double(size) + 1e-5));
  };
  const auto s =
      best({[&] { ops.norm(c, x.data(), size, y.data(), size); },
            [&] {
              for (size_t r = 0; r < rows; r++) {
                const float scale = scale_of(r);
                for (size_t j = 0; j < size; j++) y[r * size + j] = x[r * size + j] * scale * gain[j];
              }
            },
            [&] { ops.norm_tangent(c, {x.data(), size, dx.data(), size, nullptr, nullptr}, y.data(), size); },
            [&] {
              for (size_t r = 0; r < rows; r++) {
                const float scale = scale_of(r);
                double mixed = 0;
                for (size_t j = 0; j < size; j++) mixed += double(dx[r * size + j]) * double(x[r * size + j]);
                const float m = float(mixed * scale / size);
                for (size_t j = 0; j < size; j++)
                  y[r * size + j] = (dx[r * size + j] - x[r * size + j] * scale * m) * scale * gain[j];
              }
            }});
  print("rmsNorm", s[1] / s[0]);
  print("rmsNormTangent", s[3] / s[2]);
}

void rope(const Ops& ops) {
  const size_t rows = 96, heads = 32, size = 64, half = size / 2, ld = heads * size;
  const Floats x = numbers(rows * ld, "x"), cosine = numbers(512 * half, "c"), sine = numbers(512 * half, "s");
  Floats y(x.size());
  std::vector<uint32_t> positions;
  for (uint32_t r = 0; r < rows; r++) positions.push_back(5 * r);
  RopeCall c;
  c.rows = rows;
  c.heads = heads;
  c.head_size = c.rotary = size;
  c.cos = cosine.data();
  c.sin = sine.data();
  c.positions = positions.data();
  const auto s = best({[&] { ops.rope(c, x.data(), ld, y.data(), ld); },
                       [&] {
                         for (size_t r = 0; r < rows; r++)
                           for (size_t h = 0; h < heads; h++)
                             for (size_t j = 0; j < half; j++) {
                               const size_t a = r * ld + h * size + j, p = positions[r] * half + j;
                               y[a] = x[a] * cosine[p] - x[a + half] * sine[p];
                               y[a + half] = x[a + half] * cosine[p] + x[a] * sine[p];
                             }
                       }});
  print("rope", s[1] / s[0]);
}

void gates(const Ops& ops) {
  const size_t rows = 96, size = 4096;
  const Floats x = numbers(rows * size, "x"), b = numbers(rows * size, "b");
  Floats y(x.size());
  const auto s = best(
      {[&] { ops.activate(Activation::kSilu, rows, size, x.data(), size, y.data(), size); },
       [&] {
         for (size_t i = 0; i < x.size(); i++) y[i] = x[i] / (1 + std::exp(-x[i]));
       },
       [&] { ops.activate_slope(Activation::kSilu, rows, size, {x.data(), size}, {b.data(), size}, {y.data(), size}); },
       [&] {
         for (size_t i = 0; i < x.size(); i++) {
           const float t = 1 / (1 + std::exp(-x[i]));
           y[i] = b[i] * (t + x[i] * t * (1 - t));
         }
       },
       [&] { ops.multiply(rows, size, {x.data(), size}, {b.data(), size}, {y.data(), size}); },
       [&] {
         for (size_t i = 0; i < x.size(); i++) y[i] = x[i] * b[i];
       },
       [&] { ops.softcap(rows, size, 30, {x.data(), size}, {y.data(), size}); },
       [&] {
         for (size_t i = 0; i < x.size(); i++) y[i] = 30 * std::tanh(x[i] / 30);
       }});
  const char* names[] = {"silu", "siluSlope", "multiply", "softcap"};
  for (size_t i = 0; i < 4; i++) print(names[i], s[2 * i + 1] / s[2 * i]);
}

void losses(const Ops& ops) {
  const size_t rows = 16, size = 49152;
  const Floats z = numbers(rows * size, "z");
  Floats e(z.size());
  std::vector<uint32_t> target;
  for (uint32_t r = 0; r < rows; r++) target.push_back(1000 * r);
  std::vector<double> loss(rows);
  const auto s =
      best({[&] { ops.cross_entropy(rows, size, {z.data(), size}, target.data(), loss.data(), 1, {e.data(), size}); },
            [&] {
              for (size_t r = 0; r < rows; r++) {
                const float* row = z.data() + r * size;
                const float top = *std::max_element(row, row + size);
                double total = 0;
                for (size_t j = 0; j < size; j++) total += double(e[r * size + j] = std::exp(row[j] - top));
                loss[r] = std::log(total) + double(top) - double(row[target[r]]);
                const float factor = float(1 / total);
                for (size_t j = 0; j < size; j++) e[r * size + j] *= factor;
                e[r * size + target[r]] -= 1;
              }
            },
            [&] { ops.row_dots(rows, size, {z.data(), size}, {e.data(), size}, loss.data()); },
            [&] {
              for (size_t r = 0; r < rows; r++) {
                double sum = 0;
                for (size_t j = 0; j < size; j++) sum += double(z[r * size + j]) * double(e[r * size + j]);
                loss[r] = sum;
              }
            }});
  print("crossEntropy", s[1] / s[0]);
  print("rowDots", s[3] / s[2]);
}

// One text: the tangent and the gradients as multiples of the forward pass; its rate as a share of that of `linear`;
// and, with simple loops, how much faster the forward pass is.
void attention(const Ops& ops, const BackwardOps& backward, const std::string& name, AttentionCall c, size_t length) {
  const size_t width = c.heads * c.head_size, kv = c.kv_heads * c.head_size, n = c.head_size;
  const Floats q = numbers(length * width, "q"), k = numbers(length * kv, "k"), v = numbers(length * kv, "v");
  Floats out(q.size()), dq(q.size()), dk(k.size()), dv(v.size());
  const std::vector<uint32_t> offsets = {0, uint32_t(length)};
  Floats scratch(std::max({ops.attention_scratch(length, n), ops.attention_tangent_scratch(length, n),
                           backward.attention_scratch(length, n)}));
  c.texts = 1;
  c.offsets = offsets.data();
  c.scale = float(1 / std::sqrt(double(n)));
  c.q = q.data();
  c.k = k.data();
  c.v = v.data();
  c.ldq = width;
  c.ldkv = kv;
  const auto s = best(
      {[&] { ops.attention(c, out.data(), width, scratch.data()); },
       [&] { ops.attention_tangent(c, {q.data(), k.data(), v.data(), width, kv, out.data(), width}, scratch.data()); },
       [&] {
         backward.attention_backward(c, {q.data(), width, dq.data(), dk.data(), dv.data(), width, kv}, scratch.data());
       },
       [&] {
         if (length > 600) return;
         Floats p(length);
         for (size_t h = 0; h < c.heads; h++)
           for (size_t i = 0; i < length; i++) {
             const float *a = q.data() + i * width + h * n, *key = k.data() + h * c.kv_heads / c.heads * n;
             const float* value = v.data() + h * c.kv_heads / c.heads * n;
             const size_t seen = c.causal ? i + 1 : length;
             float top = -1e30f, total = 0;
             for (size_t j = 0; j < seen; j++) {
               float sum = 0;
               for (size_t d = 0; d < n; d++) sum += a[d] * key[j * kv + d];
               top = std::max(top, p[j] = sum * c.scale);
             }
             float* to = out.data() + i * width + h * n;
             std::fill(to, to + n, 0.0f);
             for (size_t j = 0; j < seen; j++) total += p[j] = std::exp(p[j] - top);
             for (size_t j = 0; j < seen; j++)
               for (size_t d = 0; d < n; d++) to[d] += p[j] / total * value[j * kv + d];
           }
       }});
  print(name + ".milliseconds", s[0] * 1e3);
  print(name + ".tangent", s[1] / s[0]);
  print(name + ".gradients", s[2] / s[0]);
  if (length <= 600) print(name + ".simple", s[3] / s[0]);
}

AttentionCall heads(size_t heads, size_t kv_heads, bool causal, size_t window = 0, float softcap = 0) {
  AttentionCall c;
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.head_size = 64;
  c.causal = causal;
  c.window = window;
  c.softcap = softcap;
  return c;
}

}  // namespace

int main(int count, char** args) {
  if (count > 1) rounds = std::atoi(args[1]);
  const Ops& ops = cpu_ops();
  const BackwardOps& backward = cpu_backward_ops();
  std::printf("{\"kernels\":\"%s\",", ops.name());
  rms_norm(ops);
  rope(ops);
  gates(ops);
  losses(ops);
  attention(ops, backward, "all128", heads(12, 12, false), 128);
  attention(ops, backward, "causal512", heads(12, 12, true), 512);
  attention(ops, backward, "grouped512", heads(9, 3, true), 512);
  attention(ops, backward, "capped512", heads(9, 3, true, 0, 50), 512);
  attention(ops, backward, "causal2048", heads(9, 3, true), 2048);
  attention(ops, backward, "window2048", heads(9, 3, true, 256), 2048);
  std::printf("}\n");
}
