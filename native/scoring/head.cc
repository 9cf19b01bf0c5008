#include "scoring/head.h"

#include <algorithm>
#include <cmath>

#include "graph/weights.h"

namespace warp {
namespace {

Buffer<float> zeros(size_t count) {
  Buffer<float> values(count);
  std::fill(values.begin(), values.end(), 0.0f);
  return values;
}

Buffer<float> pack(const Ops& ops, size_t outputs, size_t inputs, const float* weight) {
  Buffer<float> packed(ops.packed_size(outputs, inputs));
  ops.pack_outputs(outputs, inputs, 0, outputs, weight, inputs, packed.data());
  return packed;
}

}  // namespace

Head::Head(const Program& program, const Path& path, const Ops& ops)
    : program_(program), ops_(ops), plan_(program.head_plan) {
  weight_ = path.load(plan_.weight);
  if (!plan_.bias.empty()) bias_ = path.load(plan_.bias);
  if (has_dense()) {
    dense_ = path.load(plan_.dense);
    dense_bias_ = path.load(plan_.dense_bias);
  }
}

HeadPoint Head::point(int k) const {
  HeadPoint point;
  point.weight = whole_point(weight_, k);
  point.bias = plan_.bias.empty() ? zeros(program_.outputs) : whole_point(bias_, k);
  if (has_dense()) {
    point.dense = whole_point(dense_, k);
    point.dense_bias = whole_point(dense_bias_, k);
    point.dense_packed = pack(ops_, program_.features(), program_.features(), point.dense.data());
  }
  return point;
}

HeadRows Head::evaluate(const HeadPoint& point, size_t rows, const float* x, const int32_t* label,
                        bool gradients) const {
  const size_t h = program_.features(), labels = program_.outputs;
  HeadRows out;
  out.h = Buffer<float>(rows * h);
  out.e = Buffer<float>(rows * labels);
  out.logits = Buffer<float>(rows * labels);
  out.loss.resize(rows);
  if (has_dense()) {
    Buffer<float> scratch(ops_.linear_scratch(h));
    ops_.linear(rows, h, h, x, h, point.dense_packed.data(), point.dense_bias.data(), plan_.activation, out.h.data(), h,
                scratch.data());
  } else {
    std::copy(x, x + rows * h, out.h.data());
  }
  std::vector<double> z(labels);
  for (size_t i = 0; i < rows; i++) {
    const float* input = out.h.data() + i * h;
    double top = -INFINITY, total = 0;
    for (size_t c = 0; c < labels; c++) {
      z[c] = point.bias[c];
      for (size_t j = 0; j < h; j++) z[c] += double(point.weight[c * h + j]) * double(input[j]);
      out.logits[i * labels + c] = float(z[c]);
      top = std::max(top, z[c]);
    }
    for (double value : z) total += std::exp(value - top);
    for (size_t c = 0; c < labels; c++)
      out.e[i * labels + c] = float(std::exp(z[c] - top) / total - (int32_t(c) == label[i] ? 1.0 : 0.0));
    out.loss[i] = std::log(total) + top - z[label[i]];
    if (!std::isfinite(out.loss[i])) throw loss_not_finite(i);
  }
  if (!gradients || !has_dense()) return out;
  out.a = zeros(rows * h);
  for (size_t i = 0; i < rows; i++) {
    float* a = out.a.data() + i * h;
    for (size_t c = 0; c < labels; c++)
      for (size_t j = 0; j < h; j++) a[j] += out.e[i * labels + c] * point.weight[c * h + j];
    // of tanh the slope follows from the value; of others from what went in
    for (size_t j = 0; plan_.activation == Activation::kTanh && j < h; j++)
      a[j] *= 1 - out.h[i * h + j] * out.h[i * h + j];
  }
  if (plan_.activation == Activation::kTanh) return out;
  Buffer<float> before(rows * h), scratch(ops_.linear_scratch(h));
  ops_.linear(rows, h, h, x, h, point.dense_packed.data(), point.dense_bias.data(), Activation::kNone, before.data(), h,
              scratch.data());
  ops_.activate_slope(plan_.activation, rows, h, ConstMatrix{before.data(), h}, ConstMatrix{out.a.data(), h},
                      Matrix{out.a.data(), h});
  return out;
}

std::vector<double> Head::direction(const HeadPoint& from, const HeadPoint& to, Scope scope) const {
  const size_t h = program_.features();
  std::vector<double> v;
  const auto rows = [&](size_t count, const Buffer<float>& w0, const Buffer<float>& b0, const Buffer<float>& w1,
                        const Buffer<float>& b1) {
    for (size_t r = 0; r < count; r++) {
      for (size_t j = 0; j < h; j++) v.push_back(double(w1[r * h + j]) - double(w0[r * h + j]));
      v.push_back(double(b1[r]) - double(b0[r]));
    }
  };
  rows(program_.outputs, from.weight, from.bias, to.weight, to.bias);
  if (scope == Scope::kTop) rows(h, from.dense, from.dense_bias, to.dense, to.dense_bias);
  return v;
}

std::vector<double> Head::alignment(const HeadPoint& point, const HeadPoint& reference, const HeadRows& rows,
                                    const float* x, Scope scope, double lambda) const {
  const size_t h = program_.features(), labels = program_.outputs, count = rows.loss.size();
  const std::vector<double> v = direction(point, reference, scope);
  double norm = 0;
  for (double d : v) norm += d * d;
  norm = std::sqrt(norm);
  if (norm == 0) throw direction_zero(lambda);
  std::vector<double> scores(count);
  for (size_t i = 0; i < count; i++) {
    for (size_t c = 0; c < labels; c++) {
      const double* row = v.data() + c * (h + 1);
      double change = row[h];
      for (size_t j = 0; j < h; j++) change += row[j] * double(rows.h[i * h + j]);
      scores[i] -= double(rows.e[i * labels + c]) * change;
    }
  }
  if (scope == Scope::kTop) {
    Buffer<float> moved(h * h), bias(h), y(count * h), scratch(ops_.linear_scratch(h));
    for (size_t r = 0; r < h; r++) {
      const double* row = v.data() + (labels + r) * (h + 1);
      for (size_t j = 0; j < h; j++) moved[r * h + j] = float(row[j]);
      bias[r] = float(row[h]);
    }
    const Buffer<float> packed = pack(ops_, h, h, moved.data());
    ops_.linear(count, h, h, x, h, packed.data(), bias.data(), Activation::kNone, y.data(), h, scratch.data());
    for (size_t i = 0; i < count; i++)
      for (size_t j = 0; j < h; j++) scores[i] -= double(rows.a[i * h + j]) * double(y[i * h + j]);
  }
  for (double& score : scores) score /= norm;
  return scores;
}

HeadScores score_head(const Head& head, const Path& path, const Buffer<float>& features, int passes,
                      const std::vector<int32_t>& label, Scope scope, bool align, Threads& threads, Context& context) {
  const size_t k = size_t(path.points()), width = head.program().features(), texts = label.size();
  HeadScores out;
  out.loss.resize(texts * (k + 2));
  out.alignment.resize(texts * k);
  const size_t labels = head.program().outputs;
  out.logits.resize(texts * (k + 2) * labels);
  const HeadPoint reference = head.point(int(k));
  threads.parallel(size_t(passes), [&](size_t p, int) {
    context.check();
    const float* x = features.data() + p * texts * width;
    const bool on_path = p > 0 && p <= k;
    const HeadPoint point = head.point(int(p) - 1);
    const HeadRows rows = head.evaluate(point, texts, x, label.data(), on_path && scope == Scope::kTop);
    for (size_t i = 0; i < texts; i++) {
      out.loss[i * (k + 2) + p] = rows.loss[i];
      std::copy_n(rows.logits.data() + i * labels, labels, out.logits.data() + (i * (k + 2) + p) * labels);
    }
    if (!on_path || !align) return;
    const std::vector<double> scores = head.alignment(point, reference, rows, x, scope, path.options().lambdas[p - 1]);
    for (size_t i = 0; i < texts; i++) out.alignment[i * k + p - 1] = scores[i];
  });
  return out;
}

}  // namespace warp
