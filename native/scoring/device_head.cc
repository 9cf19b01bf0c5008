#include "scoring/device_head.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "scoring/device_stage.h"

namespace warp {
namespace {

// Samples sorted by domain, and where each domain's begin.
struct ByDomain {
  std::vector<uint32_t> order, first;
  ByDomain(const std::vector<int32_t>& domain, size_t domains) : order(domain.size()), first(domains + 1) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return domain[a] < domain[b]; });
    for (int32_t d : domain) first[size_t(d) + 1]++;
    std::partial_sum(first.begin(), first.end(), first.begin());
  }
};

// One linear layer's part of the scope: `rows` outputs with a bias each.
cuda::MimicShape shape_of(size_t rows, const ModelSpec& spec, size_t texts, size_t points, size_t domains) {
  return {points, texts, domains, rows, spec.hidden + 1, true};
}

class DeviceHead {
 public:
  DeviceHead(cuda::Backend& backend, const Head& head, const Path& path, const float* features,
             const std::vector<int32_t>& label, const std::vector<int32_t>& domain, size_t domains, Scope scope,
             DeviceRoom room, Context& context)
      : backend_(backend), head_(head), path_(path), features_(features), label_(label), by_(domain, domains),
        domains_(domains), top_(scope == Scope::kTop), room_(room), context_(context), texts_(label.size()),
        points_(size_t(path.points())), h_(head.spec().hidden), labels_(head.spec().labels),
        reference_(head.point(int(points_))) {}

  HeadScores run() {
    HeadScores out;
    out.loss.resize(texts_ * (points_ + 2));
    out.logits.resize(texts_ * (points_ + 2) * labels_);
    out.alignment.assign(texts_ * points_, 0);
    allocate();
    for (size_t p = 0; p < points_ + 2; p++) evaluate(p, out);
    const size_t kept = room_.used();
    std::vector<double> scale(points_);
    for (size_t k = 0; k < points_; k++) scale[k] = 1 / norm(k);
    project(shape_of(labels_, head_.spec(), texts_, points_, domains_), 0, e_, labels_, pooled(0), scale, out.alignment);
    room_.back_to(kept);
    if (top_)
      project(shape_of(h_, head_.spec(), texts_, points_, domains_), labels_, a_, h_, features_ + texts_ * h_, scale,
              out.alignment);
    return out;
  }

 private:
  template <class T>
  T* uploaded(const std::vector<T>& values) {
    T* to = room_.take<T>(values.size());
    backend_.upload(to, values.data(), values.size() * sizeof(T), cuda::Queue::kCompute);
    return to;
  }
  void upload(float* to, const Buffer<float>& values) {
    backend_.upload(to, values.data(), values.size() * sizeof(float), cuda::Queue::kCompute);
  }

  void allocate() {
    labels_there_ = uploaded(label_);
    order_ = uploaded(by_.order);
    first_ = uploaded(by_.first);
    weight_ = room_.take<float>(labels_ * h_);
    bias_ = room_.take<float>(labels_);
    loss_ = room_.take<double>(texts_);
    logits_ = room_.take<float>(texts_ * labels_);
    // of the path's points, and one more for both ends in turn
    e_ = room_.take<float>((points_ + 1) * texts_ * labels_);
    if (!head_.has_pooler()) return;
    pooler_ = room_.take<float>(h_ * h_);
    pooler_bias_ = room_.take<float>(h_);
    h_there_ = room_.take<float>((points_ + 1) * texts_ * h_);
    if (top_) a_ = room_.take<float>(points_ * texts_ * h_);
  }

  // The classifier's input at path point `slot`; slot points_: the end that is looked at now.
  const float* pooled(size_t slot) const {
    return head_.has_pooler() ? h_there_ + slot * texts_ * h_ : features_ + (slot + 1) * texts_ * h_;
  }

  void evaluate(size_t p, HeadScores& out) {
    context_.check();
    const bool on_path = p > 0 && p <= points_;
    const size_t slot = on_path ? p - 1 : points_;
    const HeadPoint point = head_.point(int(p) - 1);
    const float* x = features_ + p * texts_ * h_;
    const float* h = x;
    upload(weight_, point.weight);
    upload(bias_, point.bias);
    if (head_.has_pooler()) {
      upload(pooler_, point.pooler);
      upload(pooler_bias_, point.pooler_bias);
      float* to = h_there_ + slot * texts_ * h_;
      backend_.ops().linear(texts_, h_, h_, x, h_, pooler_, pooler_bias_, Activation::kTanh, to, h_, nullptr);
      h = to;
    }
    float* e = e_ + slot * texts_ * labels_;
    backend_.head_logits(texts_, labels_, h_, h, h_, weight_, bias_, logits_, labels_);
    backend_.cross_entropy(texts_, labels_, logits_, labels_, labels_there_, loss_, e, labels_);
    if (on_path && top_) backend_.pooler_residual(texts_, labels_, h_, e, labels_, weight_, h, h_, a_ + slot * texts_ * h_, h_);
    std::vector<double> loss(texts_);
    std::vector<float> logits(texts_ * labels_);
    backend_.download(loss.data(), loss_, texts_ * sizeof(double));
    backend_.download(logits.data(), logits_, texts_ * labels_ * sizeof(float));
    for (size_t i = 0; i < texts_; i++) {
      if (!std::isfinite(loss[i])) throw loss_not_finite(i);
      out.loss[i * (points_ + 2) + p] = loss[i];
      std::copy_n(logits.data() + i * labels_, labels_, out.logits.data() + (i * (points_ + 2) + p) * labels_);
    }
  }

  double norm(size_t k) {
    directions_.push_back(head_.direction(head_.point(int(k)), reference_, top_ ? Scope::kTop : Scope::kHead));
    double sum = 0;
    for (double d : directions_.back()) sum += d * d;
    if (sum == 0) throw direction_zero(path_.options().lambdas[k]);
    return std::sqrt(sum);
  }

  // Adds −⟨left rightᵀ, v⟩ / ‖v‖ of the gradient rows [row, row + shape.classes) to the scores.
  void project(const cuda::MimicShape& shape, size_t row, const float* left, size_t left_width, const float* right,
               const std::vector<double>& scale, std::vector<double>& scores) {
    context_.check();
    const size_t width = h_ + 1, size = shape.classes * width;
    std::vector<float> direction(points_ * size);
    for (size_t k = 0; k < points_; k++)
      for (size_t i = 0; i < size; i++) direction[k * size + i] = float(directions_[k][row * width + i]);
    const float* direction_there = uploaded(direction);
    const double* scale_there = uploaded(scale);
    const cuda::MimicOutput output{room_.take<double>(texts_ * points_), room_.take<double>(domains_ * points_),
                                   room_.take<double>(domains_ * points_), room_.take<double>(points_ * domains_ * size)};
    const size_t workspace = cuda::mimic_workspace(shape, by_.first.data());
    backend_.mimic(shape, by_.first.data(),
                   {left, left_width, texts_ * left_width, right, h_, texts_ * h_, direction_there, scale_there, order_, first_},
                   output, room_.take<char>(workspace), workspace);
    std::vector<double> part(texts_ * points_);
    backend_.download(part.data(), output.scores, part.size() * sizeof(double));
    for (size_t i = 0; i < part.size(); i++) scores[i] += part[i];
  }

  cuda::Backend& backend_;
  const Head& head_;
  const Path& path_;
  const float* features_;
  const std::vector<int32_t>& label_;
  const ByDomain by_;
  const size_t domains_;
  const bool top_;
  DeviceRoom room_;
  Context& context_;
  const size_t texts_, points_, h_, labels_;
  const HeadPoint reference_;
  std::vector<std::vector<double>> directions_;
  const int32_t* labels_there_ = nullptr;
  const uint32_t *order_ = nullptr, *first_ = nullptr;
  double* loss_ = nullptr;
  float *weight_ = nullptr, *bias_ = nullptr, *logits_ = nullptr, *e_ = nullptr, *pooler_ = nullptr,
        *pooler_bias_ = nullptr, *h_there_ = nullptr, *a_ = nullptr;
};

}  // namespace

uint64_t head_room(const ModelSpec& spec, Scope scope, size_t texts, size_t points,
                   const std::vector<int32_t>& domain, size_t domains) {
  const ByDomain by(domain, domains);
  const bool pooler = !head_plan(spec).pooler_weight.empty();
  const uint64_t h = spec.hidden, labels = spec.labels, n = texts;
  uint64_t bytes = n * 16 + domains * 4 + labels * (h + 1) * 4 + n * labels * 4 + (points + 1) * n * labels * 4;
  if (pooler) bytes += h * (h + 1) * 4 + (points + 1) * n * h * 4;
  if (scope == Scope::kTop) bytes += points * n * h * 4;
  const auto project = [&](uint64_t rows) {
    return points * rows * (h + 1) * 4 + points * 8 + n * points * 8 + domains * points * 16 +
           points * domains * rows * (h + 1) * 8 +
           cuda::mimic_workspace(shape_of(rows, spec, texts, points, domains), by.first.data());
  };
  return bytes + std::max(project(labels), scope == Scope::kTop ? project(h) : 0) + 32 * kDeviceAlignment;
}

HeadScores score_head_on(cuda::Backend& backend, const Head& head, const Path& path, const float* features,
                         const std::vector<int32_t>& label, const std::vector<int32_t>& domain, size_t domains,
                         Scope scope, char* room, uint64_t room_bytes, Context& context) {
  return DeviceHead(backend, head, path, features, label, domain, domains, scope, DeviceRoom(room, room_bytes), context).run();
}

}  // namespace warp
