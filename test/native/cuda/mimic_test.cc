// mimic.cu against sums written out in double.
#include "on_device.h"
#include "ops/cuda/kernels.h"

using namespace warp;
using namespace device;

static void check_mimic(std::vector<uint32_t> sizes, size_t points, size_t classes, size_t inputs, bool bias,
                        bool roomy) {
  const size_t domains = sizes.size(), columns = inputs + bias;
  std::vector<uint32_t> first(1, 0);
  for (uint32_t size : sizes) first.push_back(first.back() + size);
  const size_t samples = first.back(), lde = classes + 1, ldh = inputs + 2;
  std::vector<uint32_t> order(samples);
  for (size_t i = 0; i < samples; i++) order[i] = uint32_t((i * 37 + 11) % samples);  // 37 divides no size used here
  const auto e = numbers(points * samples * lde, "e"), h = numbers(points * samples * ldh, "h"),
             v = numbers(points * classes * columns, "v");
  std::vector<double> scale(points);
  for (size_t k = 0; k < points; k++) scale[k] = 1.0 / double(k + 2);

  const Held<float> held_e(e), held_h(h), held_v(v);
  const Held<double> held_scale(scale);
  const Held<uint32_t> held_order(order), held_first(first);
  const cuda::MimicShape shape{points, samples, domains, classes, columns, bias};
  const size_t one = cuda::mimic_workspace(shape, first.data()), room = roomy ? points * one : one;
  const size_t size = classes * columns, means_stride = size + 3, sums = domains * points;
  const auto all = twice([&] {
    const Held<double> scores(std::vector<double>(samples * points, NAN)), sum(std::vector<double>(sums, NAN)),
        square(std::vector<double>(sums, NAN)), means(std::vector<double>(domains * means_stride, NAN)),
        mean_squares(std::vector<double>(size, NAN));
    const Array<char> workspace(room);
    cuda::mimic(shape, first.data(),
                {held_e.data(), lde, samples * lde, held_h.data(), ldh, samples * ldh, held_v.data(), held_scale.data(),
                 held_order.data(), held_first.data()},
                {scores.data(), sum.data(), square.data(), means.data(), means_stride, mean_squares.data()},
                workspace.data(), room, stream());
    std::vector<double> together = scores.get();
    for (const auto* part : {&sum, &square, &mean_squares}) {
      const auto values = part->get();
      together.insert(together.end(), values.begin(), values.end());
    }
    const auto rows = means.get();
    for (size_t d = 0; d < domains; d++)
      together.insert(together.end(), rows.begin() + d * means_stride, rows.begin() + d * means_stride + size);
    return together;
  });

  std::vector<double> expected(samples * points + 2 * sums + size + domains * size);
  double *score = expected.data(), *sum = score + samples * points, *square = sum + sums, *mean_square = square + sums,
         *mean = mean_square + size;
  for (size_t k = 0; k < points; k++)
    for (size_t d = 0; d < domains; d++) {
      std::vector<double> g(size);
      for (size_t at = first[d]; at < first[d + 1]; at++) {
        const size_t i = order[at];
        for (size_t c = 0; c < classes; c++)
          for (size_t j = 0; j < columns; j++) {
            const double x = j < inputs ? h[(k * samples + i) * ldh + j] : 1.0;
            const double product = double(e[(k * samples + i) * lde + c]) * x;
            score[i * points + k] -= product * v[(k * classes + c) * columns + j] * scale[k];
            g[c * columns + j] += product / sizes[d];
          }
        sum[d * points + k] += score[i * points + k];
        square[d * points + k] += score[i * points + k] * score[i * points + k];
      }
      for (size_t at = 0; at < size; at++) {
        mean[d * size + at] += g[at] / double(points);
        mean_square[at] += g[at] * g[at];
      }
    }
  // float64 sums of at most classes · columns · samples products below 100: their roundings stay below 1e-16 · n · 100
  const double terms = double(classes * columns * std::max<size_t>(1, samples));
  double largest = 1;
  for (double x : expected) largest = std::max(largest, std::fabs(x));
  check_near(all, expected, 1e-16 * terms * largest, "mimic");
}

TEST(mimic_agrees) {
  for (bool bias : {false, true})
    for (bool roomy : {false, true}) {
      check_mimic({3, 1, 0, 5}, 3, 2, 8, bias, roomy);
      check_mimic({31, 33}, 2, 5, 33, bias, roomy);
    }
  check_mimic({255, 256, 257}, 1, 4, 20, true, true);  // around a chunk of samples
  check_mimic({2, 3}, 2, 9, 1023, true, true);         // 1024 columns with the bias, three groups of classes
  check_mimic({4}, 2, 3, 1024, true, false);           // the bias alone in a second group of columns
  check_mimic({1}, 1, 1, 1, false, true);
  check_mimic({0, 0}, 2, 3, 4, true, true);
}

TEST(what_is_not_wanted_is_left_out) {
  const std::vector<uint32_t> first = {0, 2}, order = {1, 0};
  const Held<float> e(numbers(2, "e")), h(numbers(6, "h"));
  const Held<uint32_t> held_order(order), held_first(first);
  const Held<double> means(std::vector<double>(3)), mean_squares(std::vector<double>(3));
  const cuda::MimicShape shape{1, 2, 1, 1, 3, false};
  const size_t bytes = cuda::mimic_workspace(shape, first.data());
  const Array<char> workspace(bytes);
  cuda::mimic(shape, first.data(),
              {e.data(), 1, 2, h.data(), 3, 6, nullptr, nullptr, held_order.data(), held_first.data()},
              {nullptr, nullptr, nullptr, means.data(), 3, mean_squares.data()}, workspace.data(), bytes, stream());
  const auto left = e.get(), right = h.get();
  std::vector<double> expected(3);
  for (int j = 0; j < 3; j++) expected[j] = (double(left[0]) * right[j] + double(left[1]) * right[3 + j]) / 2;
  check_near(means.get(), expected, 1e-15, "means alone");
}

TEST_MAIN
