// statistics.cu against sums in double; select.cu and mask.cu bit by bit against native/paths.
#include <algorithm>

#include "on_device.h"
#include "ops/cuda/kernels.h"
#include "paths/constants.h"

using namespace warp;
using namespace device;

struct Pair {
  std::vector<float> l, r;
  std::vector<char> left, right;
  Dtype dtype;
  Pair(Dtype dtype, size_t count, bool ties) : l(numbers(count, "l")), r(numbers(count, "r")), dtype(dtype) {
    for (size_t i = 0; ties && i < count; i++) {  // only a few magnitudes
      l[i] = float(i % 5);
      r[i] = l[i] + float(i * i % 3) * (i % 2 ? 0.5f : -0.5f);
    }
    const auto store = [&](std::vector<float>& values, std::vector<char>& bytes) {
      bytes.resize(count * dtype_size(dtype));
      from_float(dtype, values.data(), count, bytes.data());
      to_float(dtype, bytes.data(), count, values.data());
    };
    store(l, left);
    store(r, right);
  }
  paths::PairSource source(size_t width) const {
    paths::PairSource s;
    s.name = "tensor";
    s.elements = l.size();
    s.width = width;
    s.fetch = [this](uint64_t begin, size_t count, float* a, float* b) {
      std::copy_n(l.data() + begin, count, a);
      std::copy_n(r.data() + begin, count, b);
      return paths::Values{a, b};
    };
    return s;
  }
};

static const size_t kCounts[] = {1, 7, 8, 33, 16383, 16384, 16385, 40001};

TEST(statistics_agree) {
  for (Dtype dtype : {Dtype::kF32, Dtype::kBF16})
    for (size_t count : kCounts)
      for (size_t offset : {0, 1})
        for (bool with_mask : {false, true}) {
          const Pair pair(dtype, count, false);
          std::vector<uint8_t> mask(count);
          for (size_t i = 0; i < count; i++) mask[i] = i % 3 == 0;
          const Held<char> l(pair.left, offset * dtype_size(dtype)), r(pair.right, offset * dtype_size(dtype));
          const Held<uint8_t> keep(mask);
          const auto found = twice([&] {
            const Held<double> out(std::vector<double>(8, NAN));
            const Array<char> workspace(cuda::statistics_workspace(count));
            cuda::pair_statistics({l.data(), dtype}, {r.data(), dtype}, with_mask ? keep.data() : nullptr, count,
                                  reinterpret_cast<cuda::PairStatistics*>(out.data()), workspace.data(), stream());
            return out.get();
          });
          std::vector<long double> expected(8);
          for (size_t i = 0; i < count; i++) {
            const double a = pair.l[i], b = pair.r[i], d = std::fabs(b - a);
            const bool kept = !with_mask || mask[i];
            const double add[] = {a * a, b * b, a * b, d * d, d, kept ? d : 0, kept ? 1.0 : 0};
            for (int j = 0; j < 7; j++) expected[j] += add[j];
            expected[7] = std::max<long double>(expected[7], d);
          }
          CHECK(found[6] == expected[6] && found[7] == expected[7]);
          // a term passes through at most 8 · 8 additions of its thread and 30 of the trees, of partial sums ≤ Σ ≤ 4
          // count
          check_near(found, expected, 100 * 0x1p-53 * 4 * double(count), "statistics");
        }
}

TEST(selection_and_its_mask_have_the_bits_of_the_cpu) {
  const paths::Runner serial = [](size_t tasks, const std::function<void(size_t)>& body) {
    for (size_t task = 0; task < tasks; task++) body(task);
  };
  for (bool ties : {false, true})
    for (Dtype dtype : {Dtype::kF32, Dtype::kF16})
      for (size_t count : kCounts) {
        const Pair pair(dtype, count, ties);
        const Held<char> l(pair.left), r(pair.right);
        const cuda::Stored left{l.data(), dtype}, right{r.data(), dtype};
        for (uint64_t rank :
             {uint64_t(0), uint64_t(1), uint64_t(count / 3), uint64_t(count - count / 10), uint64_t(count)}) {
          const auto keep = twice([&] {
            const Held<char> cuts(std::vector<char>(2 * sizeof(cuda::DeviceCut)));
            auto* cut = reinterpret_cast<cuda::DeviceCut*>(cuts.data());
            const Array<char> workspace(cuda::select_workspace(count));
            cuda::select_first(left, right, count, rank, cut, workspace.data(), stream());
            cuda::select_first(left, right, count, rank / 2, cut + 1, workspace.data(), stream());
            const Held<uint8_t> mask(std::vector<uint8_t>(count + 4, 99));
            std::vector<cuda::DeviceCut> there(2);
            std::memcpy(there.data(), cuts.get().data(), 2 * sizeof there[0]);
            cuda::mask_between(left, right, {}, count, there[1], there[0], mask.data(), stream());
            return mask.get();
          });
          PathOptions options;
          options.family = "breadcrumbs";
          TensorConstants constants;
          const auto cut = paths::select(pair.source(1), {rank, rank / 2}, serial);
          constants.to = cut[0];
          constants.from = cut[1];
          std::vector<uint8_t> expected(count + 4, 99);
          paths::fill_mask(pair.source(1), options, constants, 0, count, pair.l.data(), pair.r.data(), expected.data());
          CHECK(keep == expected);
          CHECK(uint64_t(std::count(keep.begin(), keep.end(), 1)) == rank - rank / 2);
        }
      }
}

TEST(random_masks_have_the_bits_of_the_cpu) {
  PathOptions options;
  options.seed = 42;
  options.density = 0.6;
  const Random random(options.seed, "mask tensor");
  for (size_t count : {1, 5, 256, 1003})
    for (uint64_t begin : {uint64_t(0), uint64_t(4), uint64_t(6), uint64_t(1) << 35}) {
      const Pair pair(Dtype::kF32, count, false);
      options.family = "dare";
      std::vector<uint8_t> expected(count + 3, 99);
      paths::fill_mask(pair.source(1), options, TensorConstants(), begin, count, pair.l.data(), pair.r.data(),
                       expected.data());
      const auto keep = twice([&] {
        const Held<uint8_t> mask(std::vector<uint8_t>(count + 3, 99));
        cuda::mask_random(random.key().data(), {begin}, count, options.density * 0x1p32, mask.data(), stream());
        return mask.get();
      });
      CHECK(keep == expected);
    }
}

TEST(ranked_masks_have_the_bits_of_the_cpu) {
  PathOptions options;
  options.family = "della";
  options.density = 0.5;
  options.epsilon = 0.4;
  const Random random(options.seed, "mask tensor");
  for (bool ties : {false, true})
    for (const auto& [rows, width] :
         std::vector<std::pair<size_t, size_t>>{{1, 1}, {3, 2}, {2, 255}, {2, 257}, {1, 2100}}) {
      const Pair pair(Dtype::kBF16, rows * width, ties);
      std::vector<uint8_t> expected(rows * width + 3, 99);
      paths::fill_mask(pair.source(width), options, TensorConstants(), 0, rows * width, pair.l.data(), pair.r.data(),
                       expected.data());
      const Held<char> l(pair.left), r(pair.right);
      const double low = width > 1 ? options.density - options.epsilon : options.density;
      const double step = width > 1 ? 2 * options.epsilon / double(width - 1) : 0;
      const auto keep = twice([&] {
        const Held<uint8_t> mask(std::vector<uint8_t>(rows * width + 3, 99));
        cuda::mask_ranked(random.key().data(), {}, {l.data(), pair.dtype}, {r.data(), pair.dtype}, rows, width, low,
                          step, mask.data(), stream());
        return mask.get();
      });
      CHECK(keep == expected);
    }
}

// Rows in any order, more than once or not at all, have the mask that they have in the whole tensor.
TEST(masks_of_rows_are_those_of_the_whole) {
  constexpr size_t kRows = 9, kWidth = 37;
  const std::vector<uint32_t> chosen = {8, 0, 3, 4, 3};
  const Pair pair(Dtype::kF16, kRows * kWidth, true);
  std::vector<char> left, right;
  for (uint32_t row : chosen) {
    const size_t bytes = kWidth * 2, at = row * bytes;
    left.insert(left.end(), pair.left.begin() + at, pair.left.begin() + at + bytes);
    right.insert(right.end(), pair.right.begin() + at, pair.right.begin() + at + bytes);
  }
  const Held<char> l(pair.left), r(pair.right), some_l(left), some_r(right);
  const Held<uint32_t> rows(chosen);
  const Random random(3, "mask tensor");
  const auto masks = [&](const Held<char>& base, const Held<char>& reference, cuda::Place place, size_t count) {
    const cuda::Stored a{base.data(), Dtype::kF16}, b{reference.data(), Dtype::kF16};
    std::vector<std::vector<uint8_t>> all;
    for (int which = 0; which < 3; which++) {
      const Held<uint8_t> keep(std::vector<uint8_t>(count, 99));
      // of the three magnitudes 0, .5 and 1 the middle one is cut in two
      if (which == 0)
        cuda::mask_between(a, b, place, count, {0x3f800000u, 5}, {0x3f000000u, 150}, keep.data(), stream());
      if (which == 1) cuda::mask_random(random.key().data(), place, count, 0.6 * 0x1p32, keep.data(), stream());
      if (which == 2)
        cuda::mask_ranked(random.key().data(), place, a, b, count / kWidth, kWidth, 0.2, 0.6 / (kWidth - 1),
                          keep.data(), stream());
      all.push_back(keep.get());
    }
    return all;
  };
  const auto whole = masks(l, r, {}, kRows * kWidth),
             some = masks(some_l, some_r, {0, rows.data(), kWidth}, chosen.size() * kWidth);
  for (int which = 0; which < 3; which++)
    for (size_t i = 0; i < chosen.size() * kWidth; i++)
      CHECK(some[which][i] == whole[which][chosen[i / kWidth] * kWidth + i % kWidth]);
}

TEST_MAIN
