#pragma once
// Operations by element and by row, and the language loss.
#include "operations/case.h"

namespace operations {

// Of one argument with derivative dx ⊙ something: what activations and caps are.
template <class Forward, class Slope, class Run1, class RunSlope>
Case slope_case(const std::string& name, size_t rows, size_t size, const Doubles& x, Forward forward, Slope slope,
                Run1 run, RunSlope run_slope) {
  Case c;
  c.name = name + " " + std::to_string(rows) + " x " + std::to_string(size);
  c.in = {x};
  c.forward = [=](const Values& in) { return forward(in[0]); };
  const auto slopes = [=](const Doubles& in, const Doubles& d) {
    return d.empty() ? Doubles(in.size()) : slope(in, d);
  };
  c.tangent = [=](const Values& in, const Values& d) { return slopes(in[0], d[0]); };
  c.backward = [=](const Values& in, const Doubles& dout) { return Values{slopes(in[0], dout)}; };
  c.run = [=](Run& r, const Values& in) {
    const Place from = r.put(rows, size, in[0]), to = r.room_or(from);
    if (from.data) run(r.ops, from, to);
    return r.get(to);
  };
  const auto run_slopes = [=](Run& r, const Doubles& in, const Doubles& d) {
    if (d.empty()) return Doubles(in.size());
    const Place from = r.put(rows, size, in), along = r.put(rows, size, d), to = r.room_or(along);
    run_slope(r.ops, from, along, to);
    return r.get(to);
  };
  c.run_tangent = [=](Run& r, const Values& in, const Values& d) { return run_slopes(r, in[0], d[0]); };
  c.run_backward = [=](Run& r, const Values& in, const Doubles& dout) { return Values{run_slopes(r, in[0], dout)}; };
  return c;
}

inline Case activate_case(Activation act, size_t rows, size_t size) {
  Doubles x = numbers(rows * size, "x", 3);
  for (double& v : x)  // a step of central differences must not cross the kink
    if (std::fabs(v) < 1e-3) v = 1e-3;
  if (size > 400)  // and the whole range
    for (size_t i = 0; i < x.size(); i++) x[i] = double(float((double(i) - double(x.size()) / 2) * 0.0237 + 1e-3));
  Case c = slope_case(
      "activation " + std::to_string(int(act)), rows, size, x,
      [=](const Doubles& in) { return reference::activate(act, in); },
      [=](const Doubles& in, const Doubles& d) { return reference::activate_slope(act, in, d); },
      [=](const Ops& ops, const Place& from, const Place& to) {
        ops.activate(act, from.rows, from.width, from.data, from.ld, to.data, to.ld);
      },
      [=](const Ops& ops, const Place& from, const Place& d, const Place& to) {
        ops.activate_slope(act, from.rows, from.width, from, d, to);
      });
  // float32 functions of a few roundings each (exponentials 2 units): 8 of 1.2e-7; slopes err by as much, and
  // multiply numbers of size 2
  c.forward_error = 1e-6;
  c.tangent_error = c.backward_error = 2e-6;
  return c;
}

inline Case softcap_case(size_t rows, size_t size, float cap) {
  Case c = slope_case(
      "softcap", rows, size, numbers(rows * size, "x", 2),
      [=](const Doubles& in) { return reference::softcap(double(cap), in); },
      [=](const Doubles& in, const Doubles& d) {
        return reference::softcap_slope(double(cap), reference::softcap(double(cap), in), d);
      },
      [=](const Ops& ops, const Place& from, const Place& to) { ops.softcap(from.rows, from.width, cap, from, to); },
      [=](const Ops& ops, const Place& x, const Place& d, const Place& to) {
        ops.softcap(x.rows, x.width, cap, x, x);
        ops.softcap_slope(x.rows, x.width, cap, x, d, to);
      });
  // tanh to 4 units of 1; its result, rounded, gives the slope: two units of 1, times numbers of size 4
  c.forward_error = 5e-7 * double(cap);
  c.tangent_error = c.backward_error = 3e-6;
  return c;
}

inline Case multiply_case(size_t rows, size_t size, bool onto) {
  Case c;
  c.name = (onto ? "multiply_add " : "multiply ") + std::to_string(rows) + " x " + std::to_string(size);
  c.in = {numbers(rows * size, "a"), numbers(rows * size, "b")};
  const Doubles before = onto ? numbers(rows * size, "y") : Doubles(rows * size);
  c.forward_error = c.tangent_error = c.backward_error = 1e-6;  // two roundings of numbers of size 16 at most
  c.forward = [=](const Values& in) { return reference::multiply_add(in[0], in[1], before); };
  c.tangent = [=](const Values& in, const Values& d) {
    Doubles sum(in[0].size());
    if (!d[0].empty()) sum = reference::multiply_add(d[0], in[1], sum);
    return d[1].empty() ? sum : reference::multiply_add(in[0], d[1], sum);
  };
  c.backward = [=](const Values& in, const Doubles& dout) {
    return Values{reference::multiply(dout, in[1]), reference::multiply(dout, in[0])};
  };
  c.run = [=](Run& r, const Values& in) {
    const Place a = r.put(rows, size, in[0]), b = r.put(rows, size, in[1]);
    const Place y = onto ? r.put(rows, size, before) : r.room_or(a);
    if (!a.data) return Doubles();
    if (onto) r.ops.multiply_add(rows, size, a, b, y);
    else r.ops.multiply(rows, size, a, b, y);
    return r.get(y);
  };
  c.run_tangent = [=](Run& r, const Values& in, const Values& d) {
    const Place a = r.put(rows, size, in[0]), b = r.put(rows, size, in[1]);
    const Place da = r.put(rows, size, d[0]), db = r.put(rows, size, d[1]);
    if (!da.data && !db.data) return Doubles(in[0].size());
    const Place y = da.data ? r.room_or(da) : r.room_or(db);
    if (da.data) r.ops.multiply(rows, size, da, b, y);
    if (da.data && db.data) r.ops.multiply_add(rows, size, a, db, y);
    if (!da.data) r.ops.multiply(rows, size, a, db, y);
    return r.get(y);
  };
  c.run_backward = [=](Run& r, const Values& in, const Doubles& dout) {
    const Place a = r.put(rows, size, in[0]), b = r.put(rows, size, in[1]), dy = r.put(rows, size, dout);
    if (!dy.data) return Values{{}, {}};
    const Place da = r.room(rows, size), db = r.room_or(a);
    r.ops.multiply(rows, size, dy, b, da);
    r.ops.multiply(rows, size, dy, a, db);
    return Values{r.get(da), r.get(db)};
  };
  return c;
}

inline Case scale_case(size_t rows, size_t size, float factor) {
  const auto run = [=](Run& r, const Doubles& in, size_t count) {
    if (in.empty()) return Doubles(count);
    const Place x = r.put(rows, size, in);
    r.ops.scale(rows, size, factor, x);
    return r.get(x);
  };
  const auto means = [=](const Doubles& in, size_t count) {
    return in.empty() ? Doubles(count) : reference::scale(double(factor), in);
  };
  Case c;
  c.name = "scale " + std::to_string(rows) + " x " + std::to_string(size);
  c.in = {numbers(rows * size, "x")};
  c.forward_error = c.tangent_error = c.backward_error = 7e-8;  // one rounding
  c.forward = [=](const Values& in) { return means(in[0], in[0].size()); };
  c.tangent = [=](const Values& in, const Values& d) { return means(d[0], in[0].size()); };
  c.backward = [=](const Values&, const Doubles& dout) { return Values{means(dout, dout.size())}; };
  c.run = [=](Run& r, const Values& in) { return run(r, in[0], in[0].size()); };
  c.run_tangent = [=](Run& r, const Values& in, const Values& d) { return run(r, d[0], in[0].size()); };
  c.run_backward = [=](Run& r, const Values&, const Doubles& dout) { return Values{run(r, dout, dout.size())}; };
  return c;
}

// y[index[i]] += x[i]; its derivative by x is a gather
inline Case scatter_case(size_t size, const Indices& index, size_t most) {
  const size_t rows = index.size();
  const auto run = [=](Run& r, const Doubles& x, const Doubles& y) {
    const Place from = r.put(rows, size, x), to = r.put(most, size, y.empty() ? Doubles(most * size) : y);
    if (from.data) r.ops.scatter_add(rows, size, from, r.indices(index), to);
    return r.get(to);
  };
  const auto means = [=](const Doubles& x, const Doubles& y) {
    const Doubles from = y.empty() ? Doubles(most * size) : y;
    return x.empty() ? from : reference::scatter_add(size, x, index, from);
  };
  Case c;
  c.name = "scatter_add " + std::to_string(rows) + " x " + std::to_string(size);
  c.in = {numbers(rows * size, "x"), numbers(most * size, "y")};
  c.forward_error = c.tangent_error = c.backward_error = 1e-6;  // one rounding of numbers of size 8 at most
  c.forward = [=](const Values& in) { return means(in[0], in[1]); };
  c.tangent = [=](const Values&, const Values& d) { return means(d[0], d[1]); };
  c.backward = [=](const Values&, const Doubles& dout) { return Values{reference::gather(size, dout, index), dout}; };
  c.run = [=](Run& r, const Values& in) { return run(r, in[0], in[1]); };
  c.run_tangent = [=](Run& r, const Values&, const Values& d) { return run(r, d[0], d[1]); };
  c.run_backward = [=](Run& r, const Values&, const Doubles& dout) {
    const Place from = r.put(most, size, dout), to = r.room(rows, size);
    r.ops.gather(rows, size, from.data, from.ld, r.indices(index), to.data, to.ld);
    return Values{r.get(to), dout};
  };
  return c;
}

// The sum of the rows' losses. Its tangent is Σ ⟨e, dz⟩, by row_dots; its gradient is e with the gradient as weight.
inline Case loss_case(size_t rows, size_t size, double spread) {
  const auto target = std::make_shared<Indices>();
  for (size_t r = 0; r < rows; r++) target->push_back(uint32_t((r * 7 + size - 1) % size));
  const auto sum = [](const Doubles& v) {
    double total = 0;
    for (double x : v) total += x;
    return Doubles{total};
  };
  Case c;
  c.name = "loss " + std::to_string(rows) + " x " + std::to_string(size);
  c.in = {numbers(rows * size, "z", spread)};
  // float32 exponentials err by 2 units of 1.2e-7, with both signs, and by one rounding of their exponent z − max, 6e-8
  // of it; the terms that weigh have exponents of size 1; their sum is float64
  c.forward_error = c.tangent_error = c.backward_error = 2e-7 * double(rows + 1);
  c.forward = [=](const Values& in) { return sum(reference::cross_entropy(size, in[0], *target, 1).loss); };
  c.tangent = [=](const Values& in, const Values& d) {
    const auto e = reference::cross_entropy(size, in[0], *target, 1).e;
    return d[0].empty() ? Doubles{0} : sum(reference::row_dots(rows, size, e, d[0]));
  };
  c.backward = [=](const Values& in, const Doubles& dout) {
    return Values{reference::cross_entropy(size, in[0], *target, dout[0]).e};
  };
  const auto run = [=](Run& r, const Place& z, const Place& e, float weight) {
    double* loss = r.doubles(rows, NAN);
    if (z.data) r.ops.cross_entropy(rows, size, z, r.indices(*target), loss, weight, e);
    return r.get(loss, rows);
  };
  c.run = [=](Run& r, const Values& in) {
    const Place z = r.put(rows, size, in[0]);
    return sum(run(r, z, {nullptr, 0, 0, 0}, 1));
  };
  c.run_tangent = [=](Run& r, const Values& in, const Values& d) {
    const Place z = r.put(rows, size, in[0]), e = r.room_or(z), dz = r.put(rows, size, d[0]);
    if (!dz.data) return Doubles{0};
    run(r, z, e, 1);
    double* dots = r.doubles(rows, NAN);
    r.ops.row_dots(rows, size, e, dz, dots);
    return sum(r.get(dots, rows));
  };
  c.run_backward = [=](Run& r, const Values& in, const Doubles& dout) {
    const Place z = r.put(rows, size, in[0]), e = r.room_or(z);
    run(r, z, e, float(dout[0]));
    return Values{z.data ? r.get(e) : Doubles()};
  };
  return c;
}

inline void add_rows(std::vector<Case>& cases) {
  for (Activation act : {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu,
                         Activation::kTanh, Activation::kSilu}) {
    cases.push_back(activate_case(act, 3, 37));
    cases.push_back(activate_case(act, 1, 1700));
  }
  for (size_t rows : {0, 1, 4})
    for (size_t size : {1, 16, 37}) {
      cases.push_back(activate_case(Activation::kSilu, rows, size));
      cases.push_back(softcap_case(rows, size, 1.5f));
      cases.push_back(multiply_case(rows, size, false));
      cases.push_back(multiply_case(rows, size, true));
      cases.push_back(scale_case(rows, size, 0.37f));
    }
  cases.push_back(softcap_case(2, 300, 30));
  for (size_t size : {1, 16, 37}) {
    cases.push_back(scatter_case(size, {}, 2));
    cases.push_back(scatter_case(size, {4, 0, 3}, 6));
  }
  for (size_t rows : {0, 1, 3})
    for (size_t size : {1, 2, 15, 16, 33, 700}) cases.push_back(loss_case(rows, size, 2));
  cases.push_back(loss_case(2, 49152, 3));
}

}  // namespace operations
