#include "training/output.h"

#include <algorithm>

namespace warp {
namespace {

constexpr size_t kRows = 96;    // of one task
constexpr size_t kGroup = 384;  // rows whose logits exist at a time
constexpr size_t kRange = 96;   // outputs whose gradient is one task
constexpr size_t kDepth = 512;  // outputs of one product of the input's gradient
constexpr size_t kPackStep = 64;

}  // namespace

OutputLayer::OutputLayer(const Program& program, const Tensors& tensors, const Ops& ops, const BackwardOps& backward)
    : ops_(ops), backward_(backward), inputs_(program.before_head.output_width()), outputs_(program.outputs),
      cap_(program.logit_cap), tensors_(tensors) {}

void OutputLayer::pack(Threads& threads) {
  float* packed = packed_.get(ops_.packed_size(outputs_, inputs_));
  threads.parallel((outputs_ + kPackStep - 1) / kPackStep, [&](size_t task, int) {
    const size_t first = task * kPackStep, count = std::min(kPackStep, outputs_ - first);
    ops_.pack_outputs(outputs_, inputs_, first, count, tensors_.weight + first * inputs_, inputs_, packed);
  });
}

double OutputLayer::run(size_t rows, const float* x, const uint32_t* targets, double weight, Threads& threads,
                        float* dx, const Watch& watch) {
  workers_.resize(std::max(workers_.size(), size_t(threads.count())));
  std::vector<double> loss(rows);
  e_.get(std::min(rows, kGroup) * outputs_);
  for (size_t top = 0; top < rows; top += kGroup) {
    const size_t count = std::min(kGroup, rows - top);
    threads.parallel((count + kRows - 1) / kRows, [&](size_t task, int worker) {
      const size_t first = task * kRows, height = std::min(kRows, count - first), row = top + first;
      block(height, x + row * inputs_, targets + row, float(weight), e_.data() + first * outputs_, loss.data() + row,
            dx ? dx + row * inputs_ : nullptr, workers_[size_t(worker)]);
    });
    if (watch) watch(top, count, e_.data(), loss.data() + top);
    weight_gradients(count, x + top * inputs_, threads);
  }
  double total = 0;
  for (double l : loss) total += l;
  return total;
}

// e = ∂(Σ loss · weight)/∂logits of some rows, and dx = e W.
void OutputLayer::block(size_t rows, const float* x, const uint32_t* targets, float weight, float* e, double* loss,
                        float* dx, Worker& w) {
  float* rest = w.rest.get(std::max(ops_.linear_scratch(inputs_), backward_.outer_scratch(kDepth, kRows)));
  ops_.linear(rows, outputs_, inputs_, x, inputs_, packed_.data(), tensors_.bias, Activation::kNone, e, outputs_, rest);
  const Matrix logits{e, outputs_};
  if (cap_ > 0) {
    const Matrix capped{w.capped.get(kRows * outputs_), outputs_};
    ops_.softcap(rows, outputs_, cap_, logits, capped);
    ops_.cross_entropy(rows, outputs_, capped, targets, loss, weight, logits);
    ops_.softcap_slope(rows, outputs_, cap_, capped, logits, logits);
  } else {
    ops_.cross_entropy(rows, outputs_, logits, targets, loss, weight, logits);
  }
  if (!dx) return;
  std::fill(dx, dx + rows * inputs_, 0.0f);
  float* turned = w.turned.get(kDepth * kRows);
  for (size_t first = 0; first < outputs_; first += kDepth) {
    const size_t count = std::min(kDepth, outputs_ - first);
    for (size_t j = 0; j < count; j++)
      for (size_t r = 0; r < rows; r++) turned[j * rows + r] = e[r * outputs_ + first + j];
    backward_.outer(count, rows, inputs_, turned, rows, tensors_.weight + first * inputs_, inputs_, dx, inputs_, rest);
  }
}

void OutputLayer::weight_gradients(size_t rows, const float* x, Threads& threads) {
  if (!tensors_.weight_gradient && !tensors_.bias_gradient) return;
  threads.parallel((outputs_ + kRange - 1) / kRange, [&](size_t task, int worker) {
    const size_t first = task * kRange, count = std::min(kRange, outputs_ - first);
    const float* e = e_.data() + first;
    if (tensors_.weight_gradient)
      backward_.outer(rows, count, inputs_, e, outputs_, x, inputs_, tensors_.weight_gradient + first * inputs_,
                      inputs_, workers_[size_t(worker)].rest.get(backward_.outer_scratch(rows, count)));
    if (!tensors_.bias_gradient) return;
    std::vector<double> sums(count);
    backward_.add_rows(rows, count, e, outputs_, sums.data());
    for (size_t j = 0; j < count; j++) tensors_.bias_gradient[first + j] += float(sums[j]);
  });
}

}  // namespace warp
