// One matrix product as often as asked: reads lines "OPERATION ISA THREADS ROWS OUTPUTS INPUTS LEAST" and answers each
// with the seconds of one product, the median of runs that fill LEAST seconds. linear: weights packed beforehand, each
// thread takes a run of rows. outer: dW += dyᵀ x, each thread takes a run of dW's rows, as training gives them.
// pack: the weights of `linear` from torch.nn.Linear's order, one thread. See cases/products.mjs.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/random.h"
#include "core/threads.h"
#include "ops/backward.h"
#include "ops/ops.h"

using namespace warp;

namespace {

double now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

using Floats = Buffer<float>;  // where the passes keep them: aligned

Floats numbers(size_t count, const char* name) {
  constexpr size_t kDrawn = 1 << 14;
  const Random random(1, name);
  Floats out(count);
  for (size_t i = 0; i < count; i++) out[i] = i < kDrawn ? float(random.normal(i)) : out[i - kDrawn];
  return out;
}

double median_seconds(double least, const std::function<void()>& body) {
  body();
  std::vector<double> seen;
  for (double total = 0; total < least || seen.size() < 3;) {
    const double start = now();
    body();
    seen.push_back(now() - start);
    total += seen.back();
  }
  std::nth_element(seen.begin(), seen.begin() + long(seen.size() / 2), seen.end());
  return seen[seen.size() / 2];
}

struct Asked {
  const Ops& ops;
  const BackwardOps& backward;
  Threads& threads;
  size_t rows, outputs, inputs;
  double least;
  // The bounds of thread i's share of `count`, a multiple of `step` from the first.
  std::pair<size_t, size_t> share(size_t count, size_t step, size_t i) const {
    const size_t parts = size_t(threads.count()), steps = (count + step - 1) / step;
    return {std::min(count, steps * i / parts * step), std::min(count, steps * (i + 1) / parts * step)};
  }
};

std::vector<Floats> for_each(const Threads& threads, size_t count) {
  std::vector<Floats> all;
  for (int i = 0; i < threads.count(); i++) all.emplace_back(count);
  return all;
}

double linear(const Asked& a) {
  const Floats x = numbers(a.rows * a.inputs, "x"), w = numbers(a.outputs * a.inputs, "w"), b = numbers(a.outputs, "b");
  Floats packed(a.ops.packed_size(a.outputs, a.inputs)), y(a.rows * a.outputs);
  a.ops.pack_outputs(a.outputs, a.inputs, 0, a.outputs, w.data(), a.inputs, packed.data());
  std::vector<Floats> scratch = for_each(a.threads, a.ops.linear_scratch(a.inputs));
  return median_seconds(a.least, [&] {
    a.threads.parallel(size_t(a.threads.count()), [&](size_t i, int worker) {
      const auto [first, end] = a.share(a.rows, 12, i);
      a.ops.linear(end - first, a.outputs, a.inputs, x.data() + first * a.inputs, a.inputs, packed.data(), b.data(),
                   Activation::kNone, y.data() + first * a.outputs, a.outputs, scratch[size_t(worker)].data());
    });
  });
}

double outer(const Asked& a) {
  const Floats x = numbers(a.rows * a.inputs, "x"), dy = numbers(a.rows * a.outputs, "dy");
  Floats dw = numbers(a.outputs * a.inputs, "dw");
  std::vector<Floats> scratch = for_each(a.threads, a.backward.outer_scratch(a.rows, a.outputs));
  return median_seconds(a.least, [&] {
    a.threads.parallel(size_t(a.threads.count()), [&](size_t i, int worker) {
      const auto [first, end] = a.share(a.outputs, 12, i);
      a.backward.outer(a.rows, end - first, a.inputs, dy.data() + first, a.outputs, x.data(), a.inputs,
                       dw.data() + first * a.inputs, a.inputs, scratch[size_t(worker)].data());
    });
  });
}

double pack(const Asked& a) {
  const Floats w = numbers(a.outputs * a.inputs, "w");
  Floats packed(a.ops.packed_size(a.outputs, a.inputs));
  return median_seconds(a.least, [&] {
    a.ops.pack_outputs(a.outputs, a.inputs, 0, a.outputs, w.data(), a.inputs, packed.data());
  });
}

}  // namespace

int main() {
  char operation[16], isa[16];
  int count = 0;
  size_t rows, outputs, inputs;
  double least;
  std::unique_ptr<Threads> pool;
  while (std::scanf("%15s %15s %d %zu %zu %zu %lf", operation, isa, &count, &rows, &outputs, &inputs, &least) == 7) {
    const Ops* ops = find_cpu_ops(isa);
    if (!ops || count < 1) return 2;
    if (!pool || pool->count() != count) pool = std::make_unique<Threads>(count);
    const Asked asked{*ops, *find_cpu_backward_ops(isa), *pool, rows, outputs, inputs, least};
    const std::string name = operation;
    std::printf("%.6g\n", name == "outer" ? outer(asked) : name == "pack" ? pack(asked) : linear(asked));
    std::fflush(stdout);
  }
}
