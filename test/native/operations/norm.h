#pragma once
// norm and rope.
#include "operations/case.h"

namespace operations {

struct NormShape {
  size_t rows, size, groups;
  bool center, bias;
  float offset;
};

inline Case norm_case(const NormShape& s) {
  NormCall call;
  call.rows = s.rows;
  call.size = s.size;
  call.groups = s.groups;
  call.center = s.center;
  call.epsilon = 1e-3f;
  call.offset = s.offset;
  const size_t width = s.size * s.groups;
  Case c;
  c.name = std::string(s.center ? "norm" : "RMS norm") + (s.bias ? " with bias " : " ") + std::to_string(s.rows) +
           " x " + std::to_string(s.groups) + " x " + std::to_string(s.size);
  c.in = {numbers(s.rows * width, "x", 2), numbers(s.size, "gain")};
  if (s.bias) c.in.push_back(numbers(s.size, "bias"));
  // x̂ is x less a rounded mean, times two factors, and a sum: five roundings of 6e-8, and twice that for what x̂ and
  // the bias may be larger than the result. Derivatives subtract three terms of the size of t · scale, where
  // scale = 1/√(var + 1e-3) < 32, and mostly below 3: six roundings of such
  c.forward_error = 6e-7;
  c.tangent_error = 2e-6;
  c.backward_error = 4e-6 * double(1 + s.rows * s.groups / 16);  // the gain's is a sum over rows and groups
  const auto bias = [](const Values& v) { return v.size() > 2 ? v[2] : Doubles(); };
  c.forward = [=](const Values& in) { return reference::norm(call, in[0], in[1], bias(in)); };
  c.tangent = [=](const Values& in, const Values& d) {
    return reference::norm_tangent(call, in[0], in[1], d[0], d[1], bias(d));
  };
  c.backward = [=](const Values& in, const Doubles& dout) {
    const auto g = reference::norm_backward(call, in[0], in[1], dout);
    return in.size() > 2 ? Values{g.x, g.gain, g.bias} : Values{g.x, g.gain};
  };
  const auto with = [=](Run& run, const Values& in) {
    NormCall full = call;
    full.gain = run.vector(in[1]);
    full.bias = run.vector(bias(in));
    return full;
  };
  c.run = [=](Run& run, const Values& in) {
    const Place x = run.put(s.rows, width, in[0]), y = run.room_or(x);
    run.ops.norm(with(run, in), x.data, x.ld, y.data, y.ld);
    return run.get(y);
  };
  c.run_tangent = [=](Run& run, const Values& in, const Values& d) {
    const Place x = run.put(s.rows, width, in[0]), dx = run.put(s.rows, width, d[0]);
    const Place dy = dx.data ? run.room_or(dx) : run.room(s.rows, width);
    run.ops.norm_tangent(with(run, in), {x.data, x.ld, dx.data, dx.ld, run.vector(d[1]), run.vector(bias(d))}, dy.data,
                         dy.ld);
    return run.get(dy);
  };
  c.run_backward = [=](Run& run, const Values& in, const Doubles& dout) {
    const Place x = run.put(s.rows, width, in[0]), dy = run.put(s.rows, width, dout), dx = run.room_or(dy);
    double *gain = run.doubles(s.size, 0.5), *to_bias = s.bias ? run.doubles(s.size, 0.5) : nullptr;
    run.backward->norm_backward(with(run, in), x.data, x.ld, {dy.data, dy.ld, dx.data, dx.ld, gain, to_bias});
    Values out = {run.get(dx), run.get(gain, s.size)};
    if (s.bias) out.push_back(run.get(to_bias, s.size));
    for (size_t i = 1; i < out.size(); i++)
      for (double& sum : out[i]) sum -= 0.5;  // they are added
    return out;
  };
  return c;
}

inline Case rope_case(size_t rows, size_t heads, size_t head_size, size_t rotary, bool inverse) {
  const size_t width = heads * head_size, half = rotary / 2, most = 9;
  Doubles cosine, sine;
  for (size_t p = 0; p < most; p++)
    for (size_t j = 0; j < half; j++) {
      const double angle = double(p) * std::pow(100.0, -double(j) / double(half));
      cosine.push_back(double(float(std::cos(angle))));
      sine.push_back(double(float(std::sin(angle))));
    }
  Indices positions;
  for (size_t r = 0; r < rows; r++) positions.push_back(uint32_t((5 * r + 3) % most));
  const auto shared = std::make_shared<Indices>(positions);
  const auto call = [=](bool turned) {
    RopeCall call;
    call.rows = rows;
    call.heads = heads;
    call.head_size = head_size;
    call.rotary = rotary;
    call.positions = shared->data();
    call.inverse = turned;
    return call;
  };
  const auto run = [=](Run& run, bool turned, const Doubles& in) {
    if (in.empty() && rows) return Doubles(rows * width);
    RopeCall full = call(turned);
    full.positions = run.indices(*shared);
    full.cos = run.vector(cosine);
    full.sin = run.vector(sine);
    const Place x = run.put(rows, width, in), y = run.room_or(x);
    if (x.data) run.ops.rope(full, x.data, x.ld, y.data, y.ld);
    return run.get(y);
  };
  Case c;
  c.name = "rope " + std::to_string(rows) + " x " + std::to_string(heads) + " x " + std::to_string(head_size) + " of " +
           std::to_string(rotary);
  c.in = {numbers(rows * width, "x")};
  // two products and a sum of numbers of size 4 at most: three roundings
  c.forward_error = c.tangent_error = c.backward_error = 8e-7;
  c.forward = [=](const Values& in) { return reference::rope(call(inverse), cosine, sine, in[0]); };
  c.tangent = [=](const Values& in, const Values& d) {
    return d[0].empty() ? Doubles(in[0].size()) : reference::rope(call(inverse), cosine, sine, d[0]);
  };
  c.backward = [=](const Values&, const Doubles& dout) {
    return Values{reference::rope(call(!inverse), cosine, sine, dout)};
  };
  c.run = [=](Run& r, const Values& in) { return run(r, inverse, in[0]); };
  c.run_tangent = [=](Run& r, const Values&, const Values& d) { return run(r, inverse, d[0]); };
  c.run_backward = [=](Run& r, const Values&, const Doubles& dout) { return Values{run(r, !inverse, dout)}; };
  return c;
}

inline void add_norms(std::vector<Case>& cases) {
  for (size_t rows : {0, 1, 3})
    for (size_t size : {1, 7, 16, 33, 384})
      for (bool center : {false, true})
        cases.push_back(norm_case({rows, size, 1, center, center, center ? 0.0f : 1.0f}));
  cases.push_back(norm_case({3, 12, 5, false, false, 0}));
  cases.push_back(norm_case({2, 64, 3, false, true, 1}));
  cases.push_back(norm_case({5, 17, 2, true, false, 0}));
  cases.push_back(norm_case({40, 8, 2, true, true, 1}));
  cases.push_back(norm_case({2, 1300, 1, true, true, 0}));
  cases.push_back(norm_case({2, 1300, 1, false, false, 1}));
  for (bool inverse : {false, true}) {
    cases.push_back(rope_case(0, 1, 4, 4, inverse));
    cases.push_back(rope_case(1, 1, 2, 2, inverse));
    cases.push_back(rope_case(7, 3, 64, 64, inverse));
    cases.push_back(rope_case(4, 2, 21, 6, inverse));
    cases.push_back(rope_case(5, 2, 70, 66, inverse));
  }
}

}  // namespace operations
