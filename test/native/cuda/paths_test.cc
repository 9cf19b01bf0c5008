// paths.cu: the same bits as the formulas in plain C++, for every dtype, alignment and tail.
#include "on_device.h"
#include "ops/cuda/kernels.h"

using namespace warp;
using namespace device;
using cuda::Merge;

static std::vector<char> stored(Dtype dtype, const std::vector<float>& values) {
  std::vector<char> bytes(values.size() * dtype_size(dtype));
  from_float(dtype, values.data(), values.size(), bytes.data());
  return bytes;
}
static std::vector<float> floats(Dtype dtype, const std::vector<char>& bytes) {
  std::vector<float> values(bytes.size() / dtype_size(dtype));
  to_float(dtype, bytes.data(), values.size(), values.data());
  return values;
}

static float expected(Merge::Family family, float left, float right, bool keep, double a, double b) {
  const double l = left, r = right;
  switch (family) {
    case Merge::kCopy: return left;
    case Merge::kLerp: return float(l - a * (l - r));
    case Merge::kBlend: return float(a * l + b * r);
    case Merge::kMasked: return keep ? float(l - a * (l - r)) : left;
    default: return float(std::min(std::max(r, l - a), l + a));
  }
}

static void check_merge(Merge::Family family, Dtype base, Dtype reference, Dtype out, size_t count, size_t offset) {
  auto l = numbers(count, "l"), r = numbers(count, "r");
  if (count > 4) {
    l[1] = -0.0f, r[1] = -0.0f;
    l[2] = 1e-7f, r[3] = 70000.0f;  // a half's denormal, and more than a half holds
    r[4] = l[4];
  }
  const auto left = stored(base, l), right = stored(reference, r);
  l = floats(base, left);
  r = floats(reference, right);
  std::vector<uint8_t> keep(count);
  for (size_t i = 0; i < count; i++) keep[i] = i % 3 != 1;
  const Held<char> held_l(left, offset * dtype_size(base)), held_r(right, offset * dtype_size(reference));
  const Held<uint8_t> held_keep(keep);
  const Merge m{family, {held_l.data(), base}, {held_r.data(), reference}, 0.37, 0.61, held_keep.data()};
  const size_t bytes = count * dtype_size(out), before = offset * dtype_size(out);
  const auto y = twice([&] {
    const Held<char> to(std::vector<char>(before + bytes + 16, 77));
    cuda::merge(m, count, to.data() + before, out, stream());
    return to.get();
  });
  for (size_t i = 0; i < before; i++) CHECK(y[i] == 77);
  for (size_t i = 0; i < 16; i++) CHECK(y[before + bytes + i] == 77);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++) values[i] = expected(family, l[i], r[i], keep[i], m.a, m.b);
  const auto want = stored(out, values);
  CHECK(count == 0 || std::memcmp(want.data(), y.data() + before, bytes) == 0);
}

TEST(every_family_has_the_bits_of_its_formula) {
  const Dtype all[] = {Dtype::kF32, Dtype::kF16, Dtype::kBF16, Dtype::kF64};
  for (Merge::Family family : {Merge::kCopy, Merge::kLerp, Merge::kBlend, Merge::kMasked, Merge::kClip})
    for (Dtype dtype : all) {
      for (size_t count : {0, 1, 7, 8, 9, 2047, 2049}) check_merge(family, dtype, dtype, dtype, count, 0);
      check_merge(family, dtype, dtype, dtype, 100, 1);  // starts off a 16-byte boundary
      for (Dtype other : all) check_merge(family, dtype, other, Dtype::kF32, 41, 0);
    }
}

TEST_MAIN
