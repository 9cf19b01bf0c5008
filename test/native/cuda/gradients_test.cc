// gradients.cu against sums written out in double.
#include "on_device.h"
#include "ops/cuda/kernels.h"

using namespace warp;
using namespace device;

static std::vector<double> wide_numbers(size_t count, const char* name) { return wide(numbers(count, name)); }
static std::vector<double> weights_of(size_t count) {
  std::vector<double> weights(count);
  for (size_t i = 0; i < count; i++) weights[i] = i % 5 == 0 ? 0 : 0.1 + double(i % 7);
  return weights;
}

TEST(directions_and_weights_agree) {
  for (const auto& [rows, inputs] : std::vector<std::pair<size_t, size_t>>{{1, 1}, {3, 7}, {5, 255}, {0, 4}}) {
    const size_t count = rows * (inputs + 1);
    const auto w0 = numbers(rows * inputs, "w0"), w1 = numbers(rows * inputs, "w1"), b0 = numbers(rows, "b0"),
               b1 = numbers(rows, "b1");
    const Held<float> from(w0), from_bias(b0), to(w1), to_bias(b1);
    const auto found = twice([&] {
      const Held<float> out(framed(1, count));
      cuda::direction(rows, inputs, from.data(), from_bias.data(), to.data(), to_bias.data(), out.data(), stream());
      return unframed(out.get(), 1, count, count);
    });
    std::vector<float> expected(count);
    for (size_t r = 0; r < rows; r++)
      for (size_t j = 0; j <= inputs; j++)
        expected[r * (inputs + 1) + j] = j < inputs ? w1[r * inputs + j] - w0[r * inputs + j] : b1[r] - b0[r];
    CHECK(found == expected);
  }
  const std::vector<double> squares = {0, 4, 1e-300, 12};
  const Held<double> held(squares), weights(std::vector<double>(4, NAN));
  cuda::gradient_weights(4, held.data(), 6, weights.data(), stream());
  CHECK(weights.get() == std::vector<double>({0, 1.5, 6 / 1e-300, 0.5}));
}

TEST(inner_products_agree) {
  for (size_t domains : {1, 2, 5})
    for (size_t count : {1, 33, 4095, 4096, 9000}) {
      const size_t stride = count + 2, width = domains + 1;
      const auto means = wide_numbers(domains * stride, "means");
      const auto delta = numbers(count, "delta");
      const auto weights = weights_of(count);
      const Held<double> held_means(means), held_weights(weights);
      const Held<float> held_delta(delta);
      for (bool weighted : {false, true}) {
        const auto found = twice([&] {
          const Held<double> out(std::vector<double>(width * width, 7));
          const Array<char> workspace(cuda::products_workspace(domains, count));
          cuda::gradient_products(domains, stride, count, held_means.data(), held_delta.data(),
                                  weighted ? held_weights.data() : nullptr, out.data(), workspace.data(), stream());
          return out.get();
        });
        std::vector<double> expected(width * width, 7);
        for (size_t i = 0; i < width; i++)
          for (size_t j = 0; j <= i; j++) {
            const auto value = [&](size_t d, size_t at) {
              return d == domains ? double(delta[at])
                                  : means[d * stride + at] * (weighted ? std::sqrt(weights[at]) : 1);
            };
            expected[i * width + j] = 0;
            for (size_t at = 0; at < count; at++) expected[i * width + j] += value(i, at) * value(j, at);
          }
        // sums of count terms below 16 · 6, in float64 on both sides
        check_near(found, expected, 2e-16 * 96 * double(count), "products");
      }
    }
}

TEST(what_products_are_taken_along_agrees) {
  const size_t rows = 3, inputs = 100, count = rows * (inputs + 1);
  const auto mean = wide_numbers(count, "mean");
  const auto delta = numbers(count, "delta");
  const auto weights = weights_of(count);
  const Held<double> held_mean(mean), held_weights(weights);
  const Held<float> held_delta(delta);
  for (bool weighted : {false, true})
    for (bool of_mean : {false, true}) {
      const double* by = weighted ? held_weights.data() : nullptr;
      const auto found = twice([&] {
        const Held<float> weight(framed(1, rows * inputs)), bias(framed(1, rows));
        if (of_mean) cuda::mean_along(rows, inputs, held_mean.data(), by, weight.data(), bias.data(), stream());
        else cuda::delta_along(rows, inputs, held_delta.data(), by, weight.data(), bias.data(), stream());
        auto all = unframed(weight.get(), 1, rows * inputs, rows * inputs);
        const auto more = unframed(bias.get(), 1, rows, rows);
        all.insert(all.end(), more.begin(), more.end());
        return all;
      });
      std::vector<float> expected(count);
      for (size_t at = 0; at < count; at++) {
        const size_t row = at / (inputs + 1), column = at % (inputs + 1);
        const double w = !weighted ? 1 : of_mean ? weights[at] : std::sqrt(weights[at]);
        expected[column < inputs ? row * inputs + column : rows * inputs + row] =
            float((of_mean ? mean[at] : double(delta[at])) * w);
      }
      check_near(found, expected, 0, "along");
    }
}

TEST(products_by_row_are_added) {
  for (size_t rows : {0, 1, 7, 8, 9})
    for (size_t size : {1, 31, 32, 33, 100}) {
      const size_t ldx = size + 2, ldy = size + 1, stride = 3;
      const auto x = numbers(rows * ldx, "x"), y = numbers(rows * ldy, "y");
      const Held<float> held_x(x), held_y(y);
      const auto found = twice([&] {
        const Held<double> out(std::vector<double>(rows * stride + 1, 2));
        for (int again = 0; again < 2; again++)
          cuda::add_products(rows, size, held_x.data(), ldx, held_y.data(), ldy, 0.25, out.data(), stride, stream());
        return out.get();
      });
      std::vector<double> expected(rows * stride + 1, 2);
      for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < size; j++) expected[i * stride] += 0.5 * double(x[i * ldx + j]) * y[i * ldy + j];
      check_near(found, expected, 1e-13, "products by row");  // 100 terms below 16, 2^-53 each
    }
}

TEST(norms_of_single_gradients_agree) {
  for (const auto& [rows, inputs] : std::vector<std::pair<size_t, size_t>>{{1, 1}, {8, 5}, {9, 255}, {3, 256}})
    for (size_t points : {1, 3}) {
      const cuda::GradientShape shape{4, points, rows, inputs};
      const size_t ldl = rows + 1, ldr = inputs + 2, width = inputs + 1, left_stride = 4 * ldl + 5,
                   right_stride = 4 * ldr + 3;
      const auto left = numbers(points * left_stride, "left"), right = numbers(points * right_stride, "right");
      const auto weights = weights_of(rows * width);
      const Held<float> held_left(left), held_right(right);
      const Held<double> held_weights(weights);
      for (bool weighted : {false, true}) {
        const auto found = twice([&] {
          const Held<double> out(std::vector<double>(4 * 2, 3));
          cuda::gradient_norms(shape, held_left.data(), ldl, left_stride, held_right.data(), ldr, right_stride,
                               weighted ? held_weights.data() : nullptr, out.data(), 2, stream());
          return out.get();
        });
        std::vector<double> expected(8, 3);
        for (size_t i = 0; i < 4; i++) {
          expected[i * 2] = 0;
          for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < width; j++) {
              double g = 0;
              for (size_t k = 0; k < points; k++)
                g += double(left[k * left_stride + i * ldl + r]) *
                     (j < inputs ? right[k * right_stride + i * ldr + j] : 1.0f);
              expected[i * 2] += g * g / double(points * points) * (weighted ? weights[r * width + j] : 1);
            }
        }
        // rows · width terms below 100 · 7
        check_near(found, expected, 2e-16 * 700 * double(rows * width), "norms");
      }
    }
}

TEST_MAIN
