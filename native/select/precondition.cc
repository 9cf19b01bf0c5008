#include "select/precondition.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

constexpr size_t kColumns = 256, kTask = 256;  // numbers of a row, documents that one worker takes

}  // namespace

std::vector<double> precondition_factors(RowStore& rows, double q, const std::vector<uint8_t>& allowed,
                                         Threads& threads, Context& context) {
  const size_t width = rows.width(), count = rows.count();
  std::vector<double> sums(width, 0.0);
  rows.stream([&](size_t first, size_t here) {
    const float* run = rows.run(first);
    threads.parallel((width + kColumns - 1) / kColumns, [&](size_t task, int) {
      context.check();
      const size_t begin = task * kColumns, end = std::min(width, begin + kColumns);
      for (size_t i = 0; i < here; i++) {
        if (!allowed[first + i]) continue;
        const float* row = run + i * width;
        for (size_t c = begin; c < end; c++) sums[c] += double(row[c]) * double(row[c]);  // exact products
      }
    });
    context.progress(double(first + here), 2 * double(count));
  });
  const double of = double(std::count(allowed.begin(), allowed.end(), uint8_t(1)));
  for (double& sum : sums) sum = sum > 0 ? std::pow(sum / of, -q / 2) : 0;
  return sums;
}

std::vector<double> directions(const Directions& of, Context& context) {
  const Head head(of.program, *of.path, cpu_ops());
  const HeadPoint reference = head.point(of.path->points());
  const int first = of.at_base ? -1 : 0, points = of.path->points() - first;
  std::vector<double> all;
  for (int k = first; k < of.path->points(); k++) {
    context.check();
    const std::vector<double> v = head.direction(head.point(k), reference, of.scope);
    double norm2 = 0;
    for (double d : v) norm2 += d * d;
    if (norm2 == 0) throw direction_zero(k < 0 ? 0 : of.path->options().lambdas[size_t(k)]);
    const double length = std::sqrt(norm2 * points);
    for (double d : v) all.push_back(d / length);
  }
  return all;
}

DocumentNumbers numbers_of(Candidates& candidates, const std::vector<double>& direction,
                           const std::vector<uint8_t>& allowed, Threads& threads, Context& context) {
  const size_t count = candidates.count();
  DocumentNumbers out{std::vector<double>(count, 0.0), std::vector<double>(count, 0.0)};
  candidates.stream([&](size_t first, size_t here) {
    threads.parallel((here + kTask - 1) / kTask, [&](size_t task, int) {
      context.check();
      const size_t begin = first + task * kTask, end = std::min(first + here, begin + kTask);
      for (size_t i = begin; i < end; i++) {
        if (!allowed[i]) continue;
        out.along[i] = -candidates.against(direction.data(), i);
        out.norm2[i] = candidates.product(i, i);
      }
    });
    context.progress(double(count + first + here), 2 * double(count));
  });
  return out;
}

DocumentNumbers precondition(FactoredCandidates& candidates, const Directions& of, double q,
                             const std::vector<uint8_t>& allowed, Threads& threads, Context& context) {
  const std::vector<double> direction = directions(of, context);
  if (direction.size() != candidates.size()) throw internal_error("precondition: gradients of another scope");
  candidates.rows().scale(precondition_factors(candidates.rows(), q, allowed, threads, context));
  return numbers_of(candidates, direction, allowed, threads, context);
}

}  // namespace warp
