// activate.cu, norm.cu, rows.cu, loss.cu against ops/reference.
#include "on_device.h"
#include "ops/cuda/kernels.h"
#include "ops/reference/reference.h"

using namespace warp;
using namespace device;
using reference::Doubles;

static const size_t kWidths[] = {1, 2, 31, 32, 33, 64, 128, 129, 384, 516, 1024, 1028};

TEST(activations_agree) {
  for (Activation act :
       {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh})
    for (size_t size : {1, 255, 256, 300})
      for (bool with_bias : {false, true}) {
        const size_t rows = 3, ld = size + 3;
        const auto x = numbers(rows * size, "x", 3), bias = numbers(size, "b");
        const Held<float> b(bias);
        const auto y = twice([&] {
          const Held<float> held(framed(rows, size, ld, x));
          cuda::activate(rows, size, with_bias ? b.data() : nullptr, act, held.data(), ld, stream());
          return held.get();
        });
        std::vector<double> expected(rows * size);
        for (size_t i = 0; i < expected.size(); i++)
          expected[i] = reference::activate(act, double(x[i]) + (with_bias ? bias[i % size] : 0.0f));
        // |y| < 16: one rounding of the sum and a few of the function, 2^-23 · 16 each
        check_near(unframed(y, rows, size, ld), expected, 1e-5, "activate");
      }
}

static void check_layer_norm(size_t rows, size_t size, bool with_residual, size_t pad, size_t offset, bool in_place) {
  const size_t ld = size + pad;
  auto x = numbers(rows * size, "x", 2);
  for (float& value : x) value += 5;
  const auto r = numbers(rows * size, "r"), gain = numbers(size, "g"), bias = numbers(size, "b");
  const Held<float> g(gain, offset), b(bias, offset), held_r(framed(rows, size, ld, r), offset);
  const auto y = twice([&] {
    const Held<float> held_x(framed(rows, size, ld, x), offset), out(framed(rows, ld), offset);
    float* to = in_place ? held_x.data() : out.data();
    cuda::layer_norm(rows, size, held_x.data(), ld, with_residual ? held_r.data() : nullptr, ld, g.data(), b.data(),
                     1e-5f, to, ld, stream());
    return in_place ? held_x.get() : out.get();
  });
  const Doubles expected = reference::layer_norm(rows, size, wide(x), with_residual ? wide(r) : Doubles(), wide(gain),
                                                 wide(bias), double(1e-5f));
  // rounding of x + r (|.| < 16: 1e-6) and of the mean, divided by a deviation of about 2, times gains below 5; a row
  // of one element has deviation √eps, so that its sum's rounding counts 300 times
  check_near(unframed(y, rows, size, ld), expected,
             size == 1   ? 3e-3
             : size == 2 ? 3e-4
                         : 2e-5,
             "layer_norm " + std::to_string(size));
}

TEST(layer_norm_agrees) {
  for (size_t size : kWidths) {
    for (size_t rows : {0, 1, 7, 8, 9}) check_layer_norm(rows, size, rows % 2, 0, 0, rows == 8);
    check_layer_norm(3, size, true, 4, 0, true);   // aligned rows in a wider matrix
    check_layer_norm(3, size, true, 3, 0, false);  // unaligned rows
    check_layer_norm(3, size, false, 0, 1, true);  // unaligned start
  }
}

TEST(add_gather_embed_transpose_agree) {
  for (size_t size : {1, 33, 257})
    for (size_t rows : {0, 1, 5, 70}) {
      const size_t ldx = size + 1, ldy = size + 2;
      const auto x = numbers(rows * ldx, "x"), y = numbers(rows * size, "y");
      const Held<float> held_x(x);
      const auto sum = twice([&] {
        const Held<float> out(framed(rows, size, ldy, y));
        cuda::add(rows, size, held_x.data(), ldx, out.data(), ldy, stream());
        return out.get();
      });
      std::vector<float> expected(rows * size);
      for (size_t i = 0; i < expected.size(); i++) expected[i] = y[i] + x[i / size * ldx + i % size];
      CHECK(unframed(sum, rows, size, ldy) == expected);

      std::vector<uint32_t> index(rows), other(rows);
      for (size_t i = 0; i < rows; i++) {
        index[i] = uint32_t(i * 7 % rows);
        other[i] = uint32_t(i % 3);
      }
      const Held<uint32_t> held_index(index), held_other(other);
      for (const uint32_t* rows_of :
           {static_cast<const uint32_t*>(held_index.data()), static_cast<const uint32_t*>(nullptr)}) {
        const auto picked = twice([&] {
          const Held<float> out(framed(rows, ldy));
          cuda::gather(rows, size, held_x.data(), ldx, rows_of, out.data(), ldy, stream());
          return out.get();
        });
        for (size_t i = 0; i < expected.size(); i++)
          expected[i] = x[(rows_of ? index[i / size] : i / size) * ldx + i % size];
        CHECK(unframed(picked, rows, size, ldy) == expected);
      }

      const auto words = numbers(rows * size, "words"), kinds = numbers(3 * size, "kinds");
      const Held<float> held_words(words), held_kinds(kinds);
      const float* tables[] = {held_words.data(), held_kinds.data()};
      const uint32_t* indices[] = {held_index.data(), held_other.data()};
      const auto embedded = twice([&] {
        const Held<float> out(framed(rows, ldy));
        cuda::embed(rows, size, 2, tables, indices, out.data(), ldy, stream());
        return out.get();
      });
      for (size_t i = 0; i < expected.size(); i++)
        expected[i] = words[index[i / size] * size + i % size] + kinds[other[i / size] * size + i % size];
      CHECK(unframed(embedded, rows, size, ldy) == expected);

      const auto turned = twice([&] {
        const Held<float> out(framed(size, rows + 3));
        cuda::transpose(rows, size, held_x.data(), ldx, out.data(), rows + 3, stream());
        return out.get();
      });
      std::vector<float> dense = unframed(turned, size, rows, rows + 3);
      for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < size; c++) CHECK(dense[c * rows + r] == x[r * ldx + c]);
    }
}

TEST(cross_entropy_agrees) {
  for (size_t classes : {1, 2, 4, 31, 32, 33, 150})
    for (size_t rows : {0, 1, 3, 4, 9}) {
      const size_t ld = classes + 2, lde = classes + 1;
      auto z = numbers(rows * classes, "z", 4);
      if (rows) z[0] = 80;  // far from the others: its loss, or theirs, is large
      std::vector<int32_t> label(rows);
      for (size_t i = 0; i < rows; i++) label[i] = i == 3 ? -1 : int32_t(i * 5 % classes);
      const Held<float> logits(framed(rows, classes, ld, z));
      const Held<int32_t> labels(label);
      std::vector<float> e;
      const auto loss = twice([&] {
        const Held<double> losses(std::vector<double>(rows, NAN));
        const Held<float> residual(framed(rows, lde));
        cuda::cross_entropy(rows, classes, logits.data(), ld, labels.data(), losses.data(), residual.data(), lde,
                            stream());
        e = unframed(residual.get(), rows, classes, lde);
        return losses.get();
      });
      for (size_t i = 0; i < rows; i++) {
        double total = 0;
        for (size_t c = 0; c < classes; c++) total += std::exp(double(z[i * classes + c]) - 80);
        const double expected = label[i] < 0 ? 0 : std::log(total) + 80 - z[i * classes + label[i]];
        CHECK_NEAR(loss[i], expected, 1e-12 * (1 + expected) + 1e-13 * 80);
        for (size_t c = 0; c < classes; c++)  // float64 throughout, one rounding of a number of at most 1
          CHECK_NEAR(e[i * classes + c], std::exp(double(z[i * classes + c]) - 80) / total - (int32_t(c) == label[i]),
                     6.1e-8);
      }
    }
}

// By row in double: loss, and its slope along dz.
static std::vector<double> language_loss(size_t rows, size_t size, const std::vector<float>& z,
                                         const std::vector<float>& dz, const std::vector<uint32_t>& target) {
  const reference::CrossEntropy means = reference::cross_entropy(size, wide(z), target, 1);
  std::vector<double> all = means.loss;
  const Doubles slope = reference::row_dots(rows, size, means.e, wide(dz));
  all.insert(all.end(), slope.begin(), slope.end());
  return all;
}

TEST(language_loss_and_its_slope_agree) {
  for (size_t size : {1, 2, 31, 32, 255, 256, 257, 700, 5003})
    for (size_t rows : {0, 1, 3})
      for (bool with_slope : {false, true}) {
        const size_t ld = size + 2, ldt = size + 1;
        auto z = numbers(rows * size, "z", 3), dz = numbers(rows * size, "dz", 2);
        if (rows) z[size / 2] = 60;  // far from the others
        std::vector<uint32_t> target(rows);
        for (size_t i = 0; i < rows; i++) target[i] = uint32_t((i * 7 + size - 1) % size);
        const Held<float> logits(framed(rows, size, ld, z)), tangents(framed(rows, size, ldt, dz));
        const Held<uint32_t> targets(target);
        const auto found = twice([&] {
          const Held<double> sums(std::vector<double>(2 * rows + 1, double(kSentinel)));
          cuda::language_loss(rows, size, {logits.data(), ld}, {with_slope ? tangents.data() : nullptr, ldt},
                              targets.data(), sums.data(), with_slope ? sums.data() + rows : nullptr, stream());
          return sums.get();
        });
        auto expected = language_loss(rows, size, z, dz, target);
        if (!with_slope) std::fill(expected.begin() + long(rows), expected.end(), double(kSentinel));
        expected.push_back(double(kSentinel));
        // float32 exponentials: 2 units of 1.2e-7 of their size, and one rounding of z − max, 6e-8 of it, where the
        // terms that weigh have exponents of size 1: below 4e-7 of the sum; a slope is a mean of dz, below 12, so
        // weighted
        check_near(found, expected, 4e-7 * 12, "language loss of " + std::to_string(size));
        for (size_t i = 0; i < rows; i++) CHECK_NEAR(found[i], expected[i], 4e-7 + 1e-12 * expected[i]);
      }
}

TEST(means_of_rows_agree) {
  for (size_t size : {1, 33, 257})
    for (const std::vector<uint32_t>& offsets : {std::vector<uint32_t>{0}, {0, 1}, {0, 5, 6, 70}}) {
      const size_t texts = offsets.size() - 1, rows = offsets.back(), ldx = size + 1, ldy = size + 2;
      const auto x = numbers(rows * size, "x");
      const Held<float> held_x(framed(rows, size, ldx, x));
      const Held<uint32_t> held_offsets(offsets);
      const auto found = twice([&] {
        const Held<float> out(framed(texts, ldy));
        cuda::mean_rows(texts, held_offsets.data(), size, {held_x.data(), ldx}, {out.data(), ldy}, stream());
        return out.get();
      });
      std::vector<double> expected(texts * size);
      for (size_t t = 0; t < texts; t++)
        for (uint32_t r = offsets[t]; r < offsets[t + 1]; r++)
          for (size_t j = 0; j < size; j++)
            expected[t * size + j] += double(x[r * size + j]) / (offsets[t + 1] - offsets[t]);
      // one rounding of numbers below 5, and the order of float64 sums
      check_near(unframed(found, texts, size, ldy), expected, 3e-7, "means");
    }
}

TEST(samples_of_gradients_agree) {
  for (size_t inputs : {1, 33, 257})
    for (size_t outputs : {0, 1, 3, 4, 5, 9})
      for (const std::vector<uint32_t>& first : {std::vector<uint32_t>{0}, {0, 1}, {0, 5, 5, 6, 40}}) {
        const size_t texts = first.size() - 1, rows = first.back(), width = 12, ldx = inputs + 1;
        const auto x = numbers(rows * inputs, "x"), dy = numbers(rows * width, "dy"),
                   before = numbers(outputs * inputs, "sum");
        std::vector<uint32_t> output;
        for (uint32_t i = 0; i < outputs; i++) output.push_back((i * 5 + 2) % uint32_t(width));
        const Held<float> held_x(framed(rows, inputs, ldx, x)), held_dy(dy);
        const Held<uint32_t> held_first(first), held_output(output);
        const auto found = twice([&] {
          const Held<float> sum(framed(outputs, inputs, inputs, before)),
              square(framed(outputs, inputs, inputs, before));
          cuda::add_outer({texts, held_first.data(), outputs, held_output.data(), inputs, held_dy.data(), width,
                           held_x.data(), ldx, sum.data(), square.data()},
                          stream());
          std::vector<float> both = unframed(sum.get(), outputs, inputs, inputs);
          const std::vector<float> squares = unframed(square.get(), outputs, inputs, inputs);
          both.insert(both.end(), squares.begin(), squares.end());
          return both;
        });
        std::vector<double> expected = wide(before);
        expected.insert(expected.end(), before.begin(), before.end());
        for (size_t o = 0; o < outputs; o++)
          for (size_t j = 0; j < inputs; j++)
            for (size_t t = 0; t < texts; t++) {
              double own = 0;
              for (uint32_t r = first[t]; r < first[t + 1]; r++)
                own += double(dy[r * width + output[o]]) * double(x[r * inputs + j]);
              expected[o * inputs + j] += own;
              expected[(outputs + o) * inputs + j] += own * own;
            }
        // at most 40 terms of size 9, rounded to 6e-8 of sums below 50, squared
        check_near(found, expected, 2e-3, "samples");
      }
}

TEST(sums_and_spreads_of_rows_agree) {
  for (size_t size : {0, 1, 33, 257}) {
    const std::vector<uint32_t> offsets = {0, 1, 6, 40};
    const size_t rows = offsets.back(), ld = size + 3;
    const auto x = numbers(rows * size, "x"), before = numbers(size, "sum"), means = numbers(3 * size, "means");
    const Held<float> held(framed(rows, size, ld, x)), held_means(means);
    const Held<uint32_t> held_offsets(offsets);
    std::vector<double> expected(before.begin(), before.end()), sums(size);
    for (size_t i = 0; i < rows * size; i++) sums[i % size] += double(x[i]);
    for (size_t j = 0; j < size; j++) expected[j] += sums[j];
    const Held<double> held_sums(sums);
    const auto by_column = twice([&] {
      const Held<float> sum(framed(1, size, size, before));
      cuda::add_columns(rows, size, held.data(), ld, sum.data(), stream());
      return sum.get();
    });
    const auto rounded = twice([&] {
      const Held<float> sum(framed(1, size, size, before));
      cuda::add_rounded(size, held_sums.data(), sum.data(), stream());
      return sum.get();
    });
    // two roundings of numbers below 40
    check_near(unframed(by_column, 1, size, size), expected, 5e-6, "sums of rows");
    check_near(unframed(rounded, 1, size, size), expected, 5e-6, "rounded");
    const auto spread = twice([&] {
      const Held<float> y(framed(rows, size));
      cuda::spread_rows(3, held_offsets.data(), size, held_means.data(), y.data(), stream());
      return y.get();
    });
    const std::vector<float> dense = unframed(spread, rows, size, size);
    for (size_t t = 0; t < 3; t++)
      for (uint32_t r = offsets[t]; r < offsets[t + 1]; r++)
        for (size_t j = 0; j < size; j++)
          CHECK(dense[r * size + j] == means[t * size + j] / float(offsets[t + 1] - offsets[t]));
  }
}

TEST(differences_agree) {
  for (size_t count : {0, 1, 255, 256, 257, 1030}) {
    const auto x = numbers(count, "x"), y = numbers(count, "y");
    const Held<float> held_x(x);
    const auto found = twice([&] {
      const Held<float> out(framed(1, count, count, y));
      cuda::subtract(count, held_x.data(), out.data(), stream());
      return out.get();
    });
    std::vector<float> expected(count);
    for (size_t i = 0; i < count; i++) expected[i] = y[i] - x[i];
    CHECK(unframed(found, 1, count, count) == expected);
  }
}

TEST_MAIN
