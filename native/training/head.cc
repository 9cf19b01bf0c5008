#include "training/head.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace warp {
namespace {

// logits → e = (softmax − onehot) · weight, in place; returns Σ −log p(label).
double cross_entropy(size_t texts, size_t labels, const int32_t* label, double weight, float* logits) {
  double loss = 0;
  std::vector<double> p(labels);
  for (size_t t = 0; t < texts; t++, logits += labels) {
    const double top = *std::max_element(logits, logits + labels);
    double total = 0;
    for (size_t j = 0; j < labels; j++) total += p[j] = std::exp(double(logits[j]) - top);
    loss += top + std::log(total) - double(logits[label[t]]);
    for (size_t j = 0; j < labels; j++) logits[j] = float((p[j] / total - (int32_t(j) == label[t])) * weight);
  }
  return loss;
}

}  // namespace

TrainingHead::TrainingHead(const Model& model, Parameters& parameters, const Ops& ops, const BackwardOps& backward)
    : spec_(model.spec), parameters_(parameters), ops_(ops), backward_(backward) {
  const HeadPlan plan = head_plan(model.spec);
  const auto product = [&](const std::string& weight, const std::string& bias, size_t outputs) {
    return Product{&parameters.at(weight), bias.empty() ? nullptr : &parameters.at(bias), outputs, spec_.hidden};
  };
  classifier_ = product(plan.weight, plan.bias, spec_.labels);
  if (!plan.pooler_weight.empty()) pooler_ = product(plan.pooler_weight, plan.pooler_bias, spec_.hidden);
  const std::vector<std::string> norm = model.final_norm();
  if (!norm.empty()) {
    gain_ = &parameters.at(norm[0]);
    bias_ = &parameters.at(norm[1]);
  }
}

void TrainingHead::forward(const Product& p, size_t rows, const float* x, float* y) {
  float* packed = packed_.get(ops_.packed_size(p.outputs, p.inputs));
  ops_.pack_outputs(p.outputs, p.inputs, 0, p.outputs, p.weight->value.data(), p.inputs, packed);
  ops_.linear(rows, p.outputs, p.inputs, x, p.inputs, packed, p.bias ? p.bias->value.data() : nullptr,
              Activation::kNone, y, p.outputs, scratch_.get(ops_.linear_scratch(p.inputs)));
}

void TrainingHead::backward(const Product& p, size_t rows, const float* dy, const float* x, float* dx) {
  if (p.weight->trainable)
    backward_.outer(rows, p.outputs, p.inputs, dy, p.outputs, x, p.inputs, p.weight->gradient.data(), p.inputs,
                    scratch_.get(backward_.outer_scratch(rows, p.outputs)));
  if (p.bias && p.bias->trainable) {
    std::vector<double> sums(p.outputs);
    backward_.add_rows(rows, p.outputs, dy, p.outputs, sums.data());
    for (size_t j = 0; j < p.outputs; j++) p.bias->gradient[j] += float(sums[j]);
  }
  float* packed = packed_.get(ops_.packed_size(p.inputs, p.outputs));
  ops_.pack_inputs(p.inputs, p.outputs, 0, p.outputs, p.weight->value.data(), p.inputs, packed);
  ops_.linear(rows, p.inputs, p.outputs, dy, p.outputs, packed, nullptr, Activation::kNone, dx, p.inputs,
              scratch_.get(ops_.linear_scratch(p.outputs)));
}

double TrainingHead::run(const Batch& batch, const float* x, double weight, const Dropout& dropout, float* dx,
                         float* logits) {
  const size_t texts = batch.texts(), width = spec_.hidden, count = texts * width;
  float *h = h_.get(count), *dh = dh_.get(count), *before = before_.get(count);
  if (pooler_.weight) {
    forward(pooler_, texts, x, before);
    backward_.activate(Activation::kTanh, texts, width, before, width, h, width);
  } else {
    ops_.layer_norm(texts, width, x, width, nullptr, 0, gain_->value.data(), bias_->value.data(), spec_.epsilon, h,
                    width);
  }
  if (dropout.threshold)
    backward_.dropout(texts, width, dropout, batch.text.data(), batch.text_position.data(), h, width);
  forward(classifier_, texts, h, logits);
  std::vector<float> e(logits, logits + texts * spec_.labels);
  const double loss = cross_entropy(texts, spec_.labels, batch.label.data(), weight, e.data());

  backward(classifier_, texts, e.data(), h, dh);
  if (dropout.threshold)
    backward_.dropout(texts, width, dropout, batch.text.data(), batch.text_position.data(), dh, width);
  if (pooler_.weight) {
    backward_.activate_backward(Activation::kTanh, texts, width, before, width, dh, width, dh, width);
    backward(pooler_, texts, dh, x, dx);
    return loss;
  }
  std::vector<double> sums(2 * width);
  backward_.layer_norm_backward(texts, width, x, width, gain_->value.data(), spec_.epsilon, dh, width, dx, width,
                                sums.data(), sums.data() + width);
  for (size_t j = 0; j < width; j++) {
    if (gain_->trainable) gain_->gradient[j] += float(sums[j]);
    if (bias_->trainable) bias_->gradient[j] += float(sums[width + j]);
  }
  return loss;
}

}  // namespace warp
