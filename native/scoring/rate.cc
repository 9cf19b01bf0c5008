#include "scoring/rate.h"

#include <algorithm>
#include <chrono>

#include "core/buffer.h"
#include "core/threads.h"

namespace warp {

double measure_product_rate(const Ops& ops, size_t rows, size_t outputs, size_t inputs, int repeats, int threads) {
  Threads pool(threads);
  Buffer<float> weight(outputs * inputs), packed(ops.packed_size(outputs, inputs)), x(rows * inputs);
  std::fill(weight.begin(), weight.end(), 0.25f);
  std::fill(x.begin(), x.end(), 0.5f);
  ops.pack_outputs(outputs, inputs, 0, outputs, weight.data(), inputs, packed.data());
  std::vector<Buffer<float>> y, scratch;
  for (int i = 0; i < threads; i++) {
    y.emplace_back(rows * outputs);
    scratch.emplace_back(ops.linear_scratch(inputs));
  }
  double best = 0;
  for (int round = 0; round <= repeats; round++) {  // the first warms up
    const auto start = std::chrono::steady_clock::now();
    pool.parallel(size_t(threads), [&](size_t i, int) {
      ops.linear(rows, outputs, inputs, x.data(), inputs, packed.data(), nullptr, Activation::kNone, y[i].data(),
                 outputs, scratch[i].data());
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (round > 0) best = std::max(best, 2.0 * double(rows * outputs * inputs) * threads / seconds);
  }
  return best;
}

}  // namespace warp
