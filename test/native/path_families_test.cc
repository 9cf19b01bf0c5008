// Every family against its meaning in double precision (ops/reference/paths.h), on tensors chosen to break it.
#include <algorithm>
#include <cfloat>
#include <cstdio>
#include <cstring>
#include <limits>

#include "check.h"
#include "core/random.h"
#include "ops/reference/paths.h"
#include "paths/path.h"
#include "temporary_weights.h"

using namespace warp;

namespace {

struct Tensor {
  std::string name;
  std::vector<uint64_t> shape;
  std::vector<float> base, reference;
  size_t width() const { return shape.size() < 2 ? base.size() : shape[0] == 0 ? 0 : base.size() / shape[0]; }
};

std::vector<float> noise(const std::string& name, size_t count, double scale) {
  const Random random(7, name);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++) values[i] = float(scale * random.normal(i));
  return values;
}

std::vector<float> plus(std::vector<float> a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); i++) a[i] += b[i];
  return a;
}

const float kTiny = std::numeric_limits<float>::denorm_min();

std::vector<Tensor> adversaries() {
  std::vector<Tensor> all;
  const auto add = [&](const char* name, std::vector<uint64_t> shape, std::vector<float> base, std::vector<float> ref) {
    all.push_back({name, std::move(shape), std::move(base), std::move(ref)});
  };
  add("zero", {5, 3}, std::vector<float>(15, 0), std::vector<float>(15, 0));
  add("zero base", {5, 3}, std::vector<float>(15, 0), noise("r", 15, 1));
  add("zero delta", {700}, noise("same", 700, 1), noise("same", 700, 1));
  add("scalar", {}, {0.25f}, {-1.5f});
  add("one", {1}, {1.0f}, {2.0f});
  add("empty", {0, 4}, {}, {});
  add("rows of one", {33, 1}, noise("a", 33, 1), noise("b", 33, 1));
  add("equal magnitudes", {10, 7}, std::vector<float>(70, 1), [] {
    std::vector<float> r(70);
    for (size_t i = 0; i < 70; i++) r[i] = i % 2 ? 1.5f : 0.5f;
    return r;
  }());
  add("few magnitudes", {3, 23400}, std::vector<float>(70200, 0.5f), [] {  // ties on both sides of a chunk's edge
    std::vector<float> r(70200);
    for (size_t i = 0; i < r.size(); i++) r[i] = 0.5f + float(int(i * 7919 % 5) - 2) / 64;
    return r;
  }());
  add("minus zero", {4, 2}, {-0.0f, 0.0f, -0.0f, 1, -1, 0, -0.0f, 3}, {-0.0f, -0.0f, 0.0f, 1, -1, -0.0f, 2, -0.0f});
  add("denormals", {6}, {kTiny, -kTiny, 3 * kTiny, 0, FLT_MIN, -FLT_MIN},
      {0, kTiny, -kTiny, 2 * kTiny, kTiny, FLT_MIN});
  add("huge", {2, 3}, {FLT_MAX, -FLT_MAX, 1e38f, -1e38f, 0, 1}, {FLT_MAX / 2, -FLT_MAX / 3, -1e38f, 1e38f, 3e38f, 1});
  add("huge beside tiny", {4}, {1e30f, 1e-30f, 1, -1}, {1e-30f, 1e30f, 1 + FLT_EPSILON, -1});
  const std::vector<float> start = noise("o", 257 * 129, 0.05);
  add("ordinary", {257, 129}, start, plus(start, noise("d", 257 * 129, 0.003)));
  add("three axes", {5, 6, 7}, noise("x", 210, 1), noise("y", 210, 1));
  add("opposite", {9}, noise("p", 9, 1), [] {
    std::vector<float> r = noise("p", 9, 1);
    for (float& value : r) value = -value;
    return r;
  }());
  add("parallel", {2, 50}, noise("q", 100, 1), plus(noise("q", 100, 1), noise("q", 100, 1)));
  add("orthogonal", {2}, {1, 0}, {0, 1});
  return all;
}

// All tensors' sides in one dtype.
std::shared_ptr<Weights> store(const std::vector<Tensor>& tensors, bool reference, Dtype dtype) {
  small::TemporaryWeights file;
  for (const Tensor& tensor : tensors)
    file.add(tensor.name, dtype, tensor.shape, reference ? tensor.reference : tensor.base);
  return file.open();
}

// What a dtype can hold of the tensors: the others are left out.
std::vector<Tensor> rounded(std::vector<Tensor> tensors, Dtype dtype) {
  std::vector<Tensor> kept;
  for (Tensor& tensor : tensors) {
    bool finite = true;
    for (std::vector<float>* values : {&tensor.base, &tensor.reference}) {
      std::vector<char> bytes(values->size() * dtype_size(dtype));
      from_float(dtype, values->data(), values->size(), bytes.data());
      to_float(dtype, bytes.data(), values->size(), values->data());
      for (float value : *values) finite = finite && std::isfinite(value);
    }
    if (finite) kept.push_back(tensor);
  }
  return kept;
}

reference::PathFamily family_of(const PathOptions& o) {
  return {o.family, o.quadratic_c, o.density, o.epsilon, o.gamma, o.rescale, o.mergekit, o.seed};
}

bool same_bits(float a, float b) { return std::memcmp(&a, &b, 4) == 0; }

// The reference's double rounded to float32, with the double's own error allowed for: the library and the reference
// sum norms and masses in different orders, and a double that is off by `room` may round to the other side.
bool is_rounding(float got, double want, double room) { return got >= float(want - room) && got <= float(want + room); }

std::vector<PathOptions> variants() {
  std::vector<PathOptions> all;
  const auto add = [&](const char* family, const std::function<void(PathOptions&)>& change = {}) {
    PathOptions options;
    options.family = family;
    options.lambdas = {0, 0.05, 0.3, 0.5, 0.95, 1};
    options.seed = 11;
    if (change) change(options);
    all.push_back(options);
  };
  add("linear");
  add("quadratic");
  add("quadratic", [](PathOptions& o) { o.quadratic_c = -0.6; });
  add("slerp");
  add("slerp", [](PathOptions& o) { o.mergekit = true; });
  for (double density : {0.001, 0.2, 0.5, 0.9, 1.0}) {
    add("ties", [&](PathOptions& o) { o.density = density; });
    add("breadcrumbs", [&](PathOptions& o) { o.density = density; });
    add("breadcrumbs", [&](PathOptions& o) {
      o.density = density;
      o.gamma = 0.6;
    });
    for (const char* rescale : {"inverse-density", "l1", "none"}) {
      add("dare", [&](PathOptions& o) {
        o.density = density;
        o.rescale = rescale;
      });
      add("della", [&](PathOptions& o) {
        o.density = density;
        o.rescale = rescale;
        o.epsilon = std::min({0.1, density / 2, 1 - density});
      });
    }
  }
  add("nearswap");
  return all;
}

std::vector<float> values(const Path& path, const PathTensor& tensor, int k) {
  std::vector<float> out(tensor.elements());
  if (k >= -1 && k <= path.points()) tensor.point(k, 0, out.size(), out.data());
  return out;
}

}  // namespace

TEST(every_family_is_its_meaning_rounded_once) {
  for (Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBF16, Dtype::kF64}) {
    const std::vector<Tensor> tensors = rounded(adversaries(), dtype);
    CHECK(tensors.size() >= (dtype == Dtype::kF16 ? 14u : 17u));
    const auto base = store(tensors, false, dtype), reference = store(tensors, true, dtype);
    for (const PathOptions& options : variants()) {
      const Path path(base, reference, options);
      for (const Tensor& tensor : tensors) {
        const PathTensor loaded = path.load(tensor.name);
        for (int k = 0; k < path.points(); k++) {
          const std::vector<float> got = values(path, loaded, k);
          const std::vector<double> want =
              reference::path_point(family_of(options), tensor.name, tensor.width(), tensor.base, tensor.reference,
                                    options.lambdas[size_t(k)]);
          // each factor carries at most n roundings of 2^-53 in its sums (n = 2^18), plus a dozen of its own; the
          // cosine's share grows by 1/sin² near the threshold of parallel vectors (1/sin² ≤ 1001)
          const double slack = (options.family == "slerp" ? 1001.0 : 1.0) * (1 << 18) * 0x1p-53 + 0x1p-49;
          size_t wrong = 0;
          for (size_t i = 0; i < got.size(); i++) {
            // relative to what is added, not to the sum, which may cancel
            const double size = std::max(
                {std::fabs(want[i]), std::fabs(double(tensor.base[i])), std::fabs(double(tensor.reference[i]))});
            wrong += !is_rounding(got[i], want[i], slack * size);
          }
          if (wrong)
            check::fail(__FILE__, __LINE__,
                        options.family + " " + options.rescale + " density " + std::to_string(options.density) +
                            " of " + dtype_name(dtype) + " " + tensor.name + " at " +
                            std::to_string(options.lambdas[size_t(k)]) + ": " + std::to_string(wrong) + " of " +
                            std::to_string(got.size()) + " wrong");
        }
      }
    }
  }
}

TEST(masks_are_the_reference_s_exactly) {
  const std::vector<Tensor> tensors = adversaries();
  const auto base = store(tensors, false, Dtype::kF32), reference = store(tensors, true, Dtype::kF32);
  for (const PathOptions& options : variants()) {
    if (options.rescale != "none" && (options.family == "dare" || options.family == "della")) continue;
    const Path path(base, reference, options);
    for (const Tensor& tensor : tensors) {
      const std::vector<float> got = values(path, path.load(tensor.name), 3);
      const std::vector<bool> keep =
          reference::path_mask(family_of(options), tensor.name, tensor.width(), tensor.base, tensor.reference);
      if (std::all_of(keep.begin(), keep.end(), [](bool kept) { return kept; })) continue;
      for (size_t i = 0; i < got.size(); i++)
        if (!keep[i]) CHECK(same_bits(got[i], tensor.base[i]));  // −0 too
    }
  }
}

TEST(the_ends_are_the_stored_values_where_the_family_says_so) {
  const std::vector<Tensor> tensors = adversaries();
  const auto base = store(tensors, false, Dtype::kF32), reference = store(tensors, true, Dtype::kF32);
  for (const PathOptions& options : variants()) {
    const Path path(base, reference, options);
    const std::string& f = options.family;
    const bool reaches = f == "linear" || f == "quadratic" || f == "slerp" || f == "nearswap" || options.density >= 1;
    for (const Tensor& tensor : tensors) {
      const PathTensor loaded = path.load(tensor.name);
      const auto start = values(path, loaded, 0), end = values(path, loaded, path.points() - 1);
      const auto left = values(path, loaded, -1), right = values(path, loaded, path.points());
      for (size_t i = 0; i < start.size(); i++) {
        CHECK(same_bits(start[i], tensor.base[i]) && same_bits(left[i], tensor.base[i]));
        CHECK(same_bits(right[i], tensor.reference[i]));
        if (reaches) CHECK(same_bits(end[i], tensor.reference[i]));
      }
    }
  }
}

TEST(parts_of_a_tensor_are_parts_of_the_whole) {
  const std::vector<Tensor> tensors = adversaries();
  const auto base = store(tensors, false, Dtype::kF32), reference = store(tensors, true, Dtype::kF32);
  for (const PathOptions& options : variants()) {
    const Path path(base, reference, options);
    for (const Tensor& tensor : tensors) {
      if (tensor.shape.size() < 2 || tensor.base.empty()) continue;
      const std::vector<float> whole = values(path, path.load(tensor.name), 2);
      const size_t width = tensor.width(), rows = tensor.base.size() / width;
      std::vector<uint32_t> some = {uint32_t(rows - 1), 0};
      for (uint32_t row = 1; row + 1 < rows && some.size() < 20; row += row % 3 ? 1 : 2) some.push_back(row);
      const std::vector<float> part = values(path, path.load_rows(tensor.name, some), 2);
      for (size_t r = 0; r < some.size(); r++)
        CHECK(std::memcmp(part.data() + r * width, whole.data() + some[r] * width, width * 4) == 0);
      const uint64_t align = path.align(tensor.name), begin = whole.size() / 3 / align * align;
      const uint64_t count = std::max<uint64_t>(align, whole.size() / 2 / align * align);
      if (begin + count > whole.size()) continue;
      const std::vector<float> range = values(path, path.load_range(tensor.name, begin, count), 2);
      CHECK(std::memcmp(range.data(), whole.data() + begin, count * 4) == 0);
    }
  }
}

TEST(threads_and_order_change_no_bit) {
  const std::vector<Tensor> tensors = adversaries();
  const auto base = store(tensors, false, Dtype::kF32), reference = store(tensors, true, Dtype::kF32);
  for (const PathOptions& options : variants()) {
    const Path lone(base, reference, options), pooled(base, reference, options);
    Threads threads(3);
    Context context;
    double last = 0, of = 1;
    context.report = [&](double done, double total) {
      CHECK(done >= last);
      last = done;
      of = total;
    };
    pooled.prepare(threads, context);
    CHECK(last == of && pooled.record().size() == tensors.size());
    for (auto tensor = tensors.rbegin(); tensor != tensors.rend(); ++tensor) {
      const auto a = values(lone, lone.load(tensor->name), 1), b = values(pooled, pooled.load(tensor->name), 1);
      CHECK(a.empty() || std::memcmp(a.data(), b.data(), a.size() * 4) == 0);
    }
  }
}

TEST(a_fixed_tensor_stays_and_a_trajectory_is_its_checkpoints) {
  const std::vector<Tensor> tensors = adversaries();
  const auto base = store(tensors, false, Dtype::kF32), reference = store(tensors, true, Dtype::kF32);
  PathOptions options;
  options.lambdas = {0.5};
  options.fixed = {"ordinary"};
  const Path path(base, reference, options);
  const PathTensor fixed = path.load("ordinary");
  CHECK(values(path, fixed, 0) == tensors[13].base && values(path, fixed, 1) == tensors[13].reference);
  CHECK(values(path, path.load("three axes"), 0) != tensors[14].base);
  const auto half = store(rounded({tensors[13]}, Dtype::kBF16), true, Dtype::kBF16);
  options = {};
  options.family = "trajectory";
  options.lambdas = {1.0 / 3, 2.0 / 3};
  const Path real(base, reference, options, {half, base});
  const PathTensor tensor = real.load("ordinary");
  CHECK(values(real, tensor, 0) == rounded({tensors[13]}, Dtype::kBF16)[0].reference);
  CHECK(values(real, tensor, 1) == tensors[13].base && values(real, tensor, 2) == tensors[13].reference);
  CHECK(real.load_bytes("ordinary") == tensors[13].base.size() * 14);
  const std::vector<float> rows = values(real, real.load_rows("ordinary", {3}), 0);
  CHECK(std::memcmp(rows.data(), values(real, tensor, 0).data() + 3 * 129, 129 * 4) == 0);
}

TEST(random_masks_keep_their_share_and_their_expectation) {
  // 200 seeds on one tensor of n elements: the kept count is binomial, its mean has a standard error of
  // √(p(1−p)n/200); the mean of a kept and rescaled element has √((1−p)/p/200)·|δ|. Bounds: 4 of them for the
  // count, and for n element means a bound on the mean square (1 ± 4√(2/n)).
  const size_t n = 2048;
  const Tensor tensor = {"t", {16, 128}, noise("m", n, 1), plus(noise("m", n, 1), noise("n", n, 0.1))};
  const auto base = store({tensor}, false, Dtype::kF32), reference = store({tensor}, true, Dtype::kF32);
  for (const char* family : {"dare", "della"}) {
    std::vector<double> mean(n, 0);
    double kept = 0;
    PathOptions options;
    options.family = family;
    options.density = 0.7;
    options.epsilon = 0.2;
    options.lambdas = {1};
    options.rescale = "none";
    std::vector<float> chance(n);  // of della, from the ranks
    for (options.seed = 0; options.seed < 200; options.seed++) {
      const Path path(base, reference, options);
      const auto got = values(path, path.load("t"), 0);
      for (size_t i = 0; i < n; i++) {
        const bool moved = got[i] != tensor.base[i];
        kept += moved;
        mean[i] += moved / 200.0;
      }
    }
    std::vector<double> p(n, 0.7);
    double variance = 0, square = 0;
    for (size_t row = 0; row < n && family == std::string("della"); row += 128) {
      std::vector<size_t> order(128);
      for (size_t i = 0; i < 128; i++) order[i] = row + i;
      std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return std::fabs(tensor.reference[a] - tensor.base[a]) < std::fabs(tensor.reference[b] - tensor.base[b]);
      });
      for (size_t r = 0; r < 128; r++) p[order[r]] = 0.5 + 0.4 * double(r) / 127;
    }
    for (size_t i = 0; i < n; i++) {
      variance += p[i] * (1 - p[i]) * 200;
      square += (mean[i] - p[i]) * (mean[i] - p[i]) / (p[i] * (1 - p[i]) / 200);
    }
    CHECK_NEAR(kept, 0.7 * n * 200, 4 * std::sqrt(variance));
    CHECK_NEAR(square / n, 1, 4 * std::sqrt(2.0 / n) + 0.01);
  }
}

TEST(slerp_moves_every_tensor_and_says_where_it_could_not) {
  const std::vector<Tensor> tensors = adversaries();
  PathOptions options;
  options.family = "slerp";
  options.lambdas = {0.5};
  const Path path(store(tensors, false, Dtype::kF32), store(tensors, true, Dtype::kF32), options);
  std::map<std::string, std::string> branch;
  for (const Tensor& tensor : tensors) path.load(tensor.name);
  for (const TensorRecord& record : path.record()) branch[record.name] = record.branch;
  CHECK(branch["three axes"] == "slerp" && branch["orthogonal"] == "slerp" && branch["parallel"] == "linear: parallel");
  CHECK(branch["opposite"] == "linear: opposite" && branch["zero base"] == "linear: a norm is zero");
  CHECK(branch["empty"] == "empty");
}

TEST_MAIN
