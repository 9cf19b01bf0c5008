#pragma once
// Tests that run on the pretended device as on a real one: arrays go there and come back, nothing looks into device
// memory. Every computation runs twice and must give the same bits; on the pretended device once in each order of
// threads and blocks.
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "ops/cuda/runtime.h"

namespace device {

using warp::cuda::Array;

inline const warp::cuda::Stream& stream() {
  static const warp::cuda::Stream one;
  return one;
}

// A copy on the device, `offset` elements behind an aligned address.
template <class T>
class Held {
 public:
  explicit Held(const std::vector<T>& values, size_t offset = 0) : array_(values.size() + offset), offset_(offset) {
    warp::cuda::upload(data(), values.data(), values.size(), stream());
    stream().wait();
  }
  T* data() const { return array_.data() + offset_; }
  std::vector<T> get() const {
    std::vector<T> values(array_.size() - offset_);
    warp::cuda::download(values.data(), data(), values.size(), stream());
    stream().wait();
    return values;
  }

 private:
  Array<T> array_;
  size_t offset_;
};

inline void reverse_order([[maybe_unused]] bool reverse) {
#ifdef WARP_SHIM
  shim::reverse_order(reverse);
#endif
}

// What `body` returns, a vector, run twice.
template <class Body>
auto twice(Body body) {
  const auto first = body();
  reverse_order(true);
  const auto second = body();
  reverse_order(false);
  CHECK(first.size() == second.size());
  if (first.size() == second.size() && !first.empty())
    CHECK(std::memcmp(first.data(), second.data(), first.size() * sizeof(first[0])) == 0);
  return first;
}

inline std::vector<float> numbers(size_t count, const char* name, double scale = 1) {
  const warp::Random random(1, name);
  std::vector<float> out(count);
  for (size_t i = 0; i < count; i++) out[i] = float(scale * random.normal(i));
  return out;
}
inline std::vector<double> wide(const std::vector<float>& v) { return {v.begin(), v.end()}; }

constexpr float kSentinel = 12345.5f;

// rows × width within rows × ld: the rest is sentinels, as are eight more behind.
inline std::vector<float> framed(size_t rows, size_t ld) { return std::vector<float>(rows * ld + 8, kSentinel); }
inline std::vector<float> framed(size_t rows, size_t width, size_t ld, const std::vector<float>& dense) {
  std::vector<float> y = framed(rows, ld);
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < width; j++) y[r * ld + j] = dense[r * width + j];
  return y;
}
inline std::vector<float> unframed(const std::vector<float>& y, size_t rows, size_t width, size_t ld) {
  std::vector<float> dense(rows * width);
  for (size_t i = 0; i < y.size(); i++) {
    if (i >= rows * ld || i % ld >= width) CHECK(y[i] == kSentinel);
    else dense[i / ld * width + i % ld] = y[i];
  }
  return dense;
}

// |a − b| ≤ tolerance everywhere; NaN is not near anything.
template <class A, class B>
void check_near(const std::vector<A>& a, const std::vector<B>& b, double tolerance, const std::string& what) {
  CHECK(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); i++) {
    const double d = std::fabs(double(a[i]) - double(b[i]));
    if (!(d <= worst)) worst = d;  // a NaN stays
    if (!(worst <= tolerance)) break;
  }
  if (!(worst <= tolerance))
    check::fail(what.c_str(), 0, "differs by " + std::to_string(worst) + ", tolerance " + std::to_string(tolerance));
}

}  // namespace device
