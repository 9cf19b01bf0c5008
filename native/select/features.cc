#include "select/features.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace warp {
namespace {

double dot(const float* a, const float* b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += double(a[i]) * double(b[i]);
  return sum;
}

// Classes by the reference, and its probabilities.
void take_reference(const FeatureJob& job, const Head& head, const HeadPoint& reference, const float* x,
                    Features& out) {
  const size_t texts = job.texts.texts(), labels = job.program.outputs;
  const std::vector<int32_t> none(texts, 0);
  const HeadRows rows = head.evaluate(reference, texts, x, none.data(), false);
  out.label = job.label;
  out.probability.resize(texts * labels);
  for (size_t i = 0; i < texts; i++) {
    const float* z = rows.logits.data() + i * labels;
    const float* best = std::max_element(z, z + labels);
    if (out.label[i] < 0) out.label[i] = int32_t(best - z);
    double total = 0;
    for (size_t c = 0; c < labels; c++) total += std::exp(double(z[c]) - double(*best));
    for (size_t c = 0; c < labels; c++)
      out.probability[i * labels + c] = float(std::exp(double(z[c]) - double(*best)) / total);
    // the loss of class 0 is log Σ exp − z₀
    out.loss[2 * i + 1] = rows.loss[i] + double(z[0]) - double(z[out.label[i]]);
  }
}

void take_point(const FeatureJob& job, const HeadRows& rows, const float* x, const Factors* pieces, size_t width,
                size_t point, Features& out) {
  const size_t texts = job.texts.texts(), labels = job.program.outputs, h = job.program.features();
  const bool top = job.scope == Scope::kTop;
  for (size_t i = 0; i < texts; i++) {
    float* row = out.rows.data() + i * width;
    std::copy_n(rows.e.data() + i * labels, labels, row + pieces[0].u);
    std::copy_n(rows.h.data() + i * h, h, row + pieces[0].w);
    if (top) {
      std::copy_n(rows.a.data() + i * h, h, row + pieces[1].u);
      std::copy_n(x + i * h, h, row + pieces[1].w);
    }
    double sum = 0;
    for (size_t p = 0; p < (top ? 2 : 1); p++) {
      const float *u = row + pieces[p].u, *w = row + pieces[p].w;
      sum += dot(u, u, pieces[p].u_size) * (dot(w, w, pieces[p].w_size) + 1);
    }
    out.norm2[i * job.points() + point] = sum;
  }
}

size_t width_of(const std::vector<Factors>& pieces) { return pieces.back().w + pieces.back().w_size; }

}  // namespace

std::vector<Factors> feature_pieces(const Program& program, Scope scope, size_t points) {
  const uint32_t labels = uint32_t(program.outputs), h = uint32_t(program.features());
  std::vector<Factors> pieces;
  uint32_t at = 0;
  const auto add = [&](uint32_t u, uint32_t w) {
    pieces.push_back({at, u, at + u, w});
    at += u + w;
  };
  for (size_t k = 0; k < points; k++) {
    add(labels, h);
    if (scope == Scope::kTop) add(h, h);
  }
  return pieces;
}

Features make_features(const FeatureJob& job, Context& context) {
  const size_t texts = job.texts.texts(), points = job.points(), first = job.at_base ? 0 : 1;
  const size_t h = job.program.features(), labels = job.program.outputs;
  const std::vector<Factors> pieces = feature_pieces(job.program, job.scope, points);
  const size_t width = width_of(pieces), each = pieces.size() / points;
  const std::vector<Tile> tiles = cut_tiles(job.program, job.texts);
  const PassArguments pass{job.program, cpu_ops(), *job.path, job.texts, tiles, nullptr};
  const uint64_t results = texts * (width * 4 + points * 16 + labels * 4 + 20);
  const uint64_t inputs = (uint64_t(job.path->points()) + 2) * texts * h * sizeof(float);
  const uint64_t head_bytes = uint64_t(job.threads) * (texts * (h * 12 + labels * 8) + 3 * h * h * 8);
  const PassBudget budget{job.threads, job.memory, results + inputs + ClassifySink::planned_bytes(pass, job.threads),
                          results + inputs + head_bytes};
  const ForwardPlan plan = plan_pass(pass, budget);
  Threads threads(job.threads);
  const auto report = std::exchange(context.report, nullptr);
  job.path->prepare(threads, context);
  context.report = report;
  ClassifySink sink(pass, job.label, job.threads);
  run_pass(pass, plan, sink, threads, context);

  const Head head(job.program, *job.path, cpu_ops());
  const auto at = [&](size_t point) { return sink.features().data() + point * texts * h; };
  const HeadPoint reference = head.point(job.path->points());
  Features out;
  out.rows.resize(texts * width);
  out.along.resize(texts * points);
  out.norm2.resize(texts * points);
  out.loss.resize(texts * 2);
  take_reference(job, head, reference, at(size_t(job.path->points()) + 1), out);
  threads.parallel(points + first, [&](size_t task, int) {  // θ₀ is looked at for its losses in any case
    context.check();
    const HeadPoint here = head.point(int(task) - 1);
    const float* x = at(task);
    const HeadRows rows = head.evaluate(here, texts, x, out.label.data(), job.scope == Scope::kTop);
    if (task == 0)
      for (size_t i = 0; i < texts; i++) out.loss[2 * i] = rows.loss[i];
    if (task < first) return;
    const size_t point = task - first;
    take_point(job, rows, x, pieces.data() + point * each, width, point, out);
    const double lambda = task == 0 ? 0 : job.path->options().lambdas[task - 1];
    const std::vector<double> scores = head.alignment(here, reference, rows, x, job.scope, lambda);
    for (size_t i = 0; i < texts; i++) out.along[i * points + point] = scores[i];
  });
  return out;
}

}  // namespace warp
