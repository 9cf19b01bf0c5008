#include "training/optimizer.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

constexpr size_t kChunk = 1 << 15;  // elements of one task

struct Piece {
  Parameter* parameter;
  size_t first, count;  // elements, or rows of a sparse table
};

// All of the set in pieces; sparse tables by `rows_of` (their rows, or their gradient's).
template <class RowsOf>
std::vector<Piece> pieces(Parameters& parameters, RowsOf rows_of) {
  std::vector<Piece> all;
  for (auto& entry : parameters.all()) {
    Parameter& p = entry.second;
    if (!p.trainable) continue;
    const size_t total = p.sparse ? rows_of(p) : p.elements();
    const size_t step = p.sparse ? std::max<size_t>(1, kChunk / p.row_elements()) : kChunk;
    for (size_t first = 0; first < total; first += step) all.push_back({&p, first, std::min(step, total - first)});
  }
  return all;
}

void update_rows(const Piece& piece, const BackwardOps::Update& u, const BackwardOps& ops) {
  Parameter& p = *piece.parameter;
  const size_t width = p.row_elements();
  size_t next = size_t(std::lower_bound(p.rows.begin(), p.rows.end(), uint32_t(piece.first)) - p.rows.begin());
  for (size_t row = piece.first; row < piece.first + piece.count; row++) {
    const float* gradient = nullptr;
    if (next < p.rows.size() && p.rows[next] == row) {
      gradient = p.gradient.data() + next++ * width;
      p.moved[row] = 1;
    }
    float* value = p.value.data() + row * width;
    if (p.moved[row] || (!u.decoupled && u.decay != 0)) {
      ops.update(width, u, gradient, value, p.first.data() + row * width, p.second.data() + row * width);
    } else if (u.decay != 0) {  // what `update` does where gradient and moments are zero
      const float keep = 1.0f - u.rate * u.decay;
      for (size_t j = 0; j < width; j++) value[j] *= keep;
    }
  }
}

}  // namespace

double gradient_norm(Parameters& parameters, Threads& threads) {
  const std::vector<Piece> all = pieces(parameters, [](const Parameter& p) { return p.rows.size(); });
  std::vector<double> sums(all.size());
  threads.parallel(all.size(), [&](size_t i, int) {
    const Piece& piece = all[i];
    const size_t width = piece.parameter->sparse ? piece.parameter->row_elements() : 1;
    const float* g = piece.parameter->gradient.data() + piece.first * width;
    double lanes[8] = {};
    const size_t count = piece.count * width;
    size_t j = 0;
    for (; j + 8 <= count; j += 8)
      for (size_t lane = 0; lane < 8; lane++) lanes[lane] += double(g[j + lane]) * double(g[j + lane]);
    for (; j < count; j++) lanes[0] += double(g[j]) * double(g[j]);
    for (double lane : lanes) sums[i] += lane;
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return std::sqrt(total);
}

void optimizer_step(Parameters& parameters, const OptimizerOptions& o, double rate, uint64_t step, double norm,
                    const BackwardOps& ops, Threads& threads) {
  const double scale = o.clip > 0 ? std::min(1.0, o.clip / (norm + 1e-6)) : 1;
  const BackwardOps::Update u = {float(rate),
                                 float(o.beta1),
                                 float(o.beta2),
                                 float(o.epsilon),
                                 float(o.decay),
                                 float(scale),
                                 float(1 - std::pow(o.beta1, double(step))),
                                 float(std::sqrt(1 - std::pow(o.beta2, double(step)))),
                                 o.decoupled};
  const std::vector<Piece> all = pieces(parameters, [](const Parameter& p) { return p.moved.size(); });
  threads.parallel(all.size(), [&](size_t i, int) {
    const Piece& piece = all[i];
    Parameter& p = *piece.parameter;
    if (p.sparse) return update_rows(piece, u, ops);
    ops.update(piece.count, u, p.gradient.data() + piece.first, p.value.data() + piece.first,
               p.first.data() + piece.first, p.second.data() + piece.first);
  });
}

}  // namespace warp
