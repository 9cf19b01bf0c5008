#pragma once
// One table of operations for every backend: what an operation and its derivatives mean (ops/reference) beside how a
// backend is asked for them. The CPU's tests, the executed kernels' and a real GPU's go through the same cases.
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "ops/backward.h"
#include "ops/reference/backward.h"

namespace operations {

using namespace warp;
using reference::Doubles;
using Values = std::vector<Doubles>;  // of the arguments, or of their tangents; an empty tangent is zero
using Indices = std::vector<uint32_t>;

// Where a backend's operations find their arrays. What it hands out lives as long as it does.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual float* put(const std::vector<float>& values) = 0;
  virtual double* put(const std::vector<double>& values) = 0;
  virtual uint32_t* put(const Indices& values) = 0;
  virtual void get(const float* from, std::vector<float>& values) = 0;
  virtual void get(const double* from, std::vector<double>& values) = 0;
};

class HostMemory : public Memory {
 public:
  float* put(const std::vector<float>& values) override { return keep(floats_, values); }
  double* put(const std::vector<double>& values) override { return keep(doubles_, values); }
  uint32_t* put(const Indices& values) override { return keep(indices_, values); }
  void get(const float* from, std::vector<float>& values) override { values.assign(from, from + values.size()); }
  void get(const double* from, std::vector<double>& values) override { values.assign(from, from + values.size()); }

 private:
  template <class T>
  static T* keep(std::vector<std::vector<T>>& all, const std::vector<T>& values) {
    all.push_back(values);
    return all.back().data();
  }
  std::vector<std::vector<float>> floats_;
  std::vector<std::vector<double>> doubles_;
  std::vector<Indices> indices_;
};

// A matrix with gaps between its rows; gaps, and some room behind, hold sentinels.
struct Place {
  float* data;
  size_t rows, width, ld;
  operator Matrix() const { return {data, ld}; }
  operator ConstMatrix() const { return {data, ld}; }
};

constexpr float kSentinel = 12345.5f;

// One call of one backend.
class Run {
 public:
  Run(const Ops& ops, const GradientOps* backward, Memory& memory, bool in_place)
      : ops(ops), backward(backward), in_place(in_place), memory_(memory) {}
  const Ops& ops;
  const GradientOps* const backward;  // null: this backend has none
  const bool in_place;                // where an operation may write onto its argument

  // rows × width; null where there are no values
  Place put(size_t rows, size_t width, const Doubles& dense) {
    Place place = frame(rows, width, [&](size_t i) { return float(dense[i]); }, dense.empty() && rows * width != 0);
    return place;
  }
  Place room(size_t rows, size_t width) {
    return frame(rows, width, [](size_t) { return NAN; }, false);
  }
  // in_place: on that argument
  Place room_or(const Place& argument) { return in_place ? argument : room(argument.rows, argument.width); }
  Doubles get(const Place& place) {
    std::vector<float> all(place.rows * place.ld + 8);
    memory_.get(place.data, all);
    Doubles dense;
    for (size_t i = 0; i < all.size(); i++)
      if (i < place.rows * place.ld && i % place.ld < place.width) dense.push_back(double(all[i]));
      else CHECK(all[i] == kSentinel);
    return dense;
  }

  const float* vector(const Doubles& values) {
    return values.empty() ? nullptr : memory_.put(std::vector<float>(values.begin(), values.end()));
  }
  const uint32_t* indices(const Indices& values) { return memory_.put(values); }
  float* scratch(size_t count) { return memory_.put(std::vector<float>(count + 1, NAN)); }
  double* doubles(size_t count, double value) { return memory_.put(std::vector<double>(count + 1, value)); }
  Doubles get(const double* from, size_t count) {
    Doubles values(count);
    memory_.get(from, values);
    return values;
  }

 private:
  template <class At>
  Place frame(size_t rows, size_t width, At at, bool null) {
    const size_t ld = width + (width % 4 == 0 ? 4 : 3);  // rows of aligned length stay aligned
    if (null) return {nullptr, rows, width, ld};
    std::vector<float> values(rows * ld + 8, kSentinel);
    for (size_t r = 0; r < rows; r++)
      for (size_t j = 0; j < width; j++) values[r * ld + j] = at(r * width + j);
    return {memory_.put(values), rows, width, ld};
  }
  Memory& memory_;
};

struct Case {
  std::string name;
  Values in;  // the arguments, rounded to float32
  // Largest |got − want| / (1 + |want|) of the results; each family says why.
  double forward_error, tangent_error, backward_error;

  // What is meant. No tangent where the operation has none.
  std::function<Doubles(const Values&)> forward;
  std::function<Doubles(const Values&, const Values& along)> tangent;
  std::function<Values(const Values&, const Doubles& dout)> backward;

  // How it is asked for.
  std::function<Doubles(Run&, const Values&)> run;
  std::function<Doubles(Run&, const Values&, const Values& along)> run_tangent;
  std::function<Values(Run&, const Values&, const Doubles& dout)> run_backward;  // on BackwardOps
};

inline Doubles numbers(size_t count, const std::string& name, double scale = 1) {
  const Random random(11, name);
  Doubles out(count);
  for (size_t i = 0; i < count; i++) out[i] = double(float(scale * random.normal(i)));
  return out;
}
// One of these for each argument.
inline Values along(const Values& in, const std::string& name) {
  Values out;
  for (size_t i = 0; i < in.size(); i++) out.push_back(numbers(in[i].size(), name + std::to_string(i)));
  return out;
}

inline double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}

inline void check_near(const Doubles& got, const Doubles& want, double error, const std::string& what) {
  if (got.size() != want.size())
    return check::fail(what.c_str(), 0, std::to_string(got.size()) + " values, not " + std::to_string(want.size()));
  for (size_t i = 0; i < got.size(); i++)
    if (!(std::fabs(got[i] - want[i]) <= error * (1 + std::fabs(want[i]))))
      return check::fail(what.c_str(), 0,
                         "value " + std::to_string(i) + " is " + std::to_string(got[i]) + ", not " +
                             std::to_string(want[i]) + ": off by " + std::to_string((got[i] - want[i]) * 1e6) +
                             "e-6, allowed " + std::to_string(error * 1e6) + "e-6");
}

// The case's own derivatives against central differences, and against each other.
inline void check_reference(const Case& c) {
  const Values every = along(c.in, "v");
  // step 1e-5 errs by 1e-10 of the third derivative and by 1e-16 / 1e-5 of the value: below 1e-7 for unit sizes
  const double step = 1e-5, error = 1e-7;
  for (size_t only = 0; only <= c.in.size(); only++) {
    Values v(c.in.size()), up = c.in, down = c.in;
    for (size_t i = 0; i < c.in.size(); i++) {
      if (only < c.in.size() && only != i) continue;
      v[i] = every[i];
      for (size_t j = 0; j < v[i].size(); j++) {
        up[i][j] += step * v[i][j];
        down[i][j] -= step * v[i][j];
      }
    }
    Doubles difference = c.forward(up);
    const Doubles low = c.forward(down);
    for (size_t j = 0; j < low.size(); j++) difference[j] = (difference[j] - low[j]) / (2 * step);
    if (c.tangent) check_near(c.tangent(c.in, v), difference, error, c.name + ": reference tangent");
    if (!c.backward) continue;
    const Doubles dout = numbers(difference.size(), "dout");
    const Values gradients = c.backward(c.in, dout);
    double product = 0, terms = 0;
    for (size_t i = 0; i < v.size(); i++)
      if (!v[i].empty()) product += dot(gradients[i], v[i]);
    for (size_t j = 0; j < dout.size(); j++) terms += std::fabs(dout[j] * difference[j]) + std::fabs(dout[j]);
    CHECK_NEAR(product, dot(dout, difference), error * (1 + terms));
  }
}

// A backend against the reference. memory(): a fresh one.
inline void check_backend(const Case& c, const Ops& ops, const GradientOps* backward,
                          const std::function<std::unique_ptr<Memory>()>& memory) {
  const std::string name = std::string(ops.name()) + " " + c.name;
  const Doubles want = c.forward(c.in), dout = numbers(want.size(), "dout");
  const Values every = along(c.in, "v");
  for (bool in_place : {false, true}) {
    const auto fresh = [&](auto body) {
      const auto room = memory();
      Run run(ops, backward, *room, in_place);
      return body(run);
    };
    check_near(fresh([&](Run& run) { return c.run(run, c.in); }), want, c.forward_error, name + ": forward");
    Doubles tangent;
    for (size_t only = 0; c.run_tangent && only <= c.in.size(); only++) {
      Values v(c.in.size());
      for (size_t i = 0; i < v.size(); i++)
        if (only == c.in.size() || only == i) v[i] = every[i];
      tangent = fresh([&](Run& run) { return c.run_tangent(run, c.in, v); });
      check_near(tangent, c.tangent(c.in, v), c.tangent_error, name + ": tangent");
    }
    if (!backward || !c.run_backward) continue;
    const Values expected = c.backward(c.in, dout);
    const Values got = fresh([&](Run& run) { return c.run_backward(run, c.in, dout); });
    double product = 0, terms = 0;
    for (size_t i = 0; i < expected.size(); i++) {
      check_near(got[i], expected[i], c.backward_error, name + ": gradient " + std::to_string(i));
      product += dot(got[i], every[i]);
      for (size_t j = 0; j < every[i].size(); j++) terms += std::fabs(every[i][j]) * (1 + std::fabs(expected[i][j]));
    }
    // ⟨∇, v⟩ from both sides: each value within its own bound
    if (!c.run_tangent) continue;
    for (size_t j = 0; j < dout.size(); j++) terms += std::fabs(dout[j]) * (1 + std::fabs(tangent[j]));
    CHECK_NEAR(product, dot(dout, tangent), (c.tangent_error + c.backward_error) * terms);
  }
}

}  // namespace operations
