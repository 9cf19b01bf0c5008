#include "scoring/device_head.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace warp {
namespace {

constexpr size_t kParts = 4;  // tensors of a head: weight, bias, dense's weight and bias

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

// What there is to compute. A gradient is [weight | bias] by row: the classifier's rows, then the dense's.
struct Sizes {
  size_t texts, points, domains, hidden, labels;
  bool dense, tanh, top, gradients;

  explicit Sizes(const HeadJob& job)
      : texts(job.label.size()), points(size_t(job.path.points())), domains(job.domains),
        hidden(job.program.features()), labels(job.program.outputs), dense(job.program.head_plan.has_dense()),
        tanh(job.program.head_plan.activation == Activation::kTanh), top(job.scope == Scope::kTop),
        gradients(job.gradients) {}
  size_t head() const { return labels * (hidden + 1); }
  size_t rest() const { return dense ? hidden * (hidden + 1) : 0; }
  size_t elements() const { return head() + rest(); }
  bool dense_gradients() const { return dense && (top || gradients); }
  cuda::MimicShape shape(size_t rows) const { return {points, texts, domains, rows, hidden + 1, true}; }
};

struct HeadWeights {
  float *weight, *bias, *dense = nullptr, *dense_bias = nullptr;
  HeadWeights(DeviceRoom& room, const Sizes& s)
      : weight(room.take<float>(s.labels * s.hidden)), bias(room.take<float>(s.labels)) {
    if (!s.dense) return;
    dense = room.take<float>(s.hidden * s.hidden);
    dense_bias = room.take<float>(s.hidden);
  }
};

// Everything the head needs on the device. k counts the path's points, p these and both ends.
struct Layout {
  char* stage;
  int32_t* label;
  uint32_t *order, *first;
  HeadWeights point, reference;
  cuda::PairStatistics* norms;  // points × kParts
  double* scale;                // points
  float *direction, *dense_direction = nullptr;  // points × head(), points × rest()
  double* loss;                 // p × texts
  float *logits, *e;            // p × texts × labels; k, and one more for both ends in turn
  float *h = nullptr, *a = nullptr;  // like e, × hidden; k × texts × hidden
  float* inner = nullptr;            // texts × hidden: before an activation that is no tanh
  double* scores;               // 2 × texts × points: the classifier's part, the dense's
  double *means = nullptr, *mean_squares = nullptr, *weights = nullptr;  // domains × elements(); elements()
  float *delta = nullptr, *y = nullptr;
  double *products = nullptr, *per_probe = nullptr;  // 2 × (domains + 1)²; 2 × texts × (domains + 2)
  char* workspace;
  size_t workspace_bytes;

  Layout(DeviceRoom& room, const HeadJob& job, const Sizes& s, const ByDomain& by)
      : stage(room.take<char>(stage_bytes(job))), label(room.take<int32_t>(s.texts)),
        order(room.take<uint32_t>(s.texts)), first(room.take<uint32_t>(s.domains + 1)), point(room, s),
        reference(room, s), norms(room.take<cuda::PairStatistics>(s.points * kParts)),
        scale(room.take<double>(s.points)), direction(room.take<float>(s.points * s.head())),
        loss(room.take<double>((s.points + 2) * s.texts)),
        logits(room.take<float>((s.points + 2) * s.texts * s.labels)),
        e(room.take<float>((s.points + 1) * s.texts * s.labels)), scores(room.take<double>(2 * s.texts * s.points)) {
    if (s.top) dense_direction = room.take<float>(s.points * s.rest());
    if (s.dense) h = room.take<float>((s.points + 1) * s.texts * s.hidden);
    if (s.dense && !s.tanh) inner = room.take<float>(s.texts * s.hidden);
    if (s.dense_gradients()) a = room.take<float>(s.points * s.texts * s.hidden);
    const size_t dense_part = s.dense_gradients() ? cuda::mimic_workspace(s.shape(s.hidden), by.first.data()) : 0;
    workspace_bytes = std::max({s.points * cuda::mimic_workspace(s.shape(s.labels), by.first.data()), dense_part,
                                cuda::pair_workspace(s.hidden * std::max(s.hidden, s.labels)),
                                cuda::products_workspace(s.domains, s.elements())});
    workspace = room.take<char>(workspace_bytes);
    if (!s.gradients) return;
    means = room.take<double>(s.domains * s.elements());
    mean_squares = room.take<double>(s.elements());
    weights = room.take<double>(s.elements());
    delta = room.take<float>(s.elements());
    y = room.take<float>(s.texts * std::max(s.hidden, s.labels));
    products = room.take<double>(2 * (s.domains + 1) * (s.domains + 1));
    per_probe = room.take<double>(2 * s.texts * (s.domains + 2));
  }

  static size_t stage_bytes(const HeadJob& job) {
    size_t bytes = 0;
    const HeadPlan& plan = job.program.head_plan;
    for (const std::string& name : {plan.weight, plan.bias, plan.dense, plan.dense_bias})
      if (!name.empty()) bytes += DeviceStage::bytes(job.path, name, job.path.base().info(name).elements());
    return bytes;
  }
};

class DeviceHead {
 public:
  DeviceHead(cuda::Backend& backend, const HeadJob& job, const float* features, DeviceRoom room, Context& context)
      : backend_(backend), job_(job), features_(features), context_(context), s_(job), by_(job.domain, job.domains),
        plan_(job.program.head_plan), at_(room, job, s_, by_), stage_(backend, job.path) {}

  HeadResult run() {
    send();
    for (size_t p = 0; p < s_.points + 2; p++) evaluate(p);
    HeadResult out;
    out.scores.loss.resize(s_.texts * (s_.points + 2));
    out.scores.logits.resize(s_.texts * (s_.points + 2) * s_.labels);
    take_losses(out.scores);
    if (job_.align) set_scale();
    if (job_.align || s_.gradients) align(out.scores);
    if (s_.gradients)
      for (bool preconditioned : {false, true}) statistics(preconditioned, out.gradients);
    return out;
  }

 private:
  template <class T>
  void upload(T* to, const std::vector<T>& values) {
    backend_.upload(to, values.data(), values.size() * sizeof(T), cuda::Queue::kCompute);
  }
  template <class T>
  std::vector<T> download(const T* from, size_t count) {
    std::vector<T> values(count);
    backend_.download(values.data(), from, count * sizeof(T), cuda::Queue::kCompute);
    return values;
  }
  // Nothing runs far ahead of an abort.
  void settle() {
    context_.check();
    backend_.mark(0, cuda::Queue::kCompute);
    backend_.wait(0);
  }

  void send() {
    for (const std::string& name : {plan_.weight, plan_.bias, plan_.dense, plan_.dense_bias})
      if (!name.empty()) stage_.add(name);
    stage_.send(at_.stage);
    upload(at_.label, job_.label);
    upload(at_.order, by_.order);
    upload(at_.first, by_.first);
    if (plan_.bias.empty())
      for (float* bias : {at_.point.bias, at_.reference.bias}) backend_.clear(bias, s_.labels * sizeof(float));
    form(int(s_.points), at_.reference);
  }

  void form(int k, const HeadWeights& to) {
    const std::pair<const std::string&, float*> parts[] = {
        {plan_.weight, to.weight}, {plan_.bias, to.bias}, {plan_.dense, to.dense}, {plan_.dense_bias, to.dense_bias}};
    for (const auto& [name, where] : parts)
      if (!name.empty()) stage_.form(name, k, 0, stage_.elements(name), where);
  }

  // Head inputs and the classifier's inputs at path point k.
  const float* x(size_t k) const { return features_ + (k + 1) * s_.texts * s_.hidden; }
  const float* h(size_t k) const { return s_.dense ? at_.h + k * s_.texts * s_.hidden : x(k); }
  float* e(size_t k) const { return at_.e + k * s_.texts * s_.labels; }
  float* a(size_t k) const { return at_.a + k * s_.texts * s_.hidden; }

  void evaluate(size_t p) {
    const bool on_path = p > 0 && p <= s_.points;
    const size_t n = s_.texts, width = s_.hidden, slot = on_path ? p - 1 : s_.points;
    const HeadWeights& w = at_.point;
    form(int(p) - 1, w);
    const float* in = features_ + p * n * width;
    if (s_.dense) {
      float* to = at_.h + slot * n * width;
      const Ops& ops = backend_.ops();
      ops.linear(n, width, width, in, width, w.dense, w.dense_bias, s_.tanh ? Activation::kTanh : Activation::kNone,
                 s_.tanh ? to : at_.inner, width, nullptr);
      if (!s_.tanh) ops.activate(plan_.activation, n, width, at_.inner, width, to, width);
      in = to;
    }
    float* logits = at_.logits + p * n * s_.labels;
    backend_.head_logits(n, s_.labels, width, in, width, w.weight, w.bias, logits, s_.labels);
    backend_.cross_entropy(n, s_.labels, logits, s_.labels, at_.label, at_.loss + p * n, e(slot), s_.labels);
    if (on_path) {
      if (at_.a) inner_residual(slot, in);
      if (job_.align) point_direction(p - 1);
    }
    if (p == 0 && s_.gradients) {
      to_reference(false, at_.delta);
      if (s_.dense) to_reference(true, at_.delta + s_.head());
    }
    settle();
  }

  // The gradient before the dense's activation, whose output is h.
  void inner_residual(size_t k, const float* h) {
    const size_t n = s_.texts, width = s_.hidden;
    backend_.pooler_residual(n, s_.labels, width, e(k), s_.labels, at_.point.weight, s_.tanh ? h : nullptr, width, a(k),
                             width);
    if (s_.tanh) return;
    backend_.ops().activate_slope(plan_.activation, n, width, {at_.inner, width}, {a(k), width}, {a(k), width});
  }

  // reference − point of the classifier, or of the dense.
  void to_reference(bool dense, float* out) {
    const HeadWeights &w = at_.point, &r = at_.reference;
    if (dense) backend_.direction(s_.hidden, s_.hidden, w.dense, w.dense_bias, r.dense, r.dense_bias, out);
    else backend_.direction(s_.labels, s_.hidden, w.weight, w.bias, r.weight, r.bias, out);
  }

  // v_k, and the squares of its parts' norms.
  void point_direction(size_t k) {
    const auto norm = [&](size_t part, const float* from, const float* to, size_t count) {
      backend_.statistics({from, Dtype::kF32}, {to, Dtype::kF32}, nullptr, count, at_.norms + k * kParts + part,
                          at_.workspace, cuda::Queue::kCompute);
    };
    const HeadWeights &w = at_.point, &r = at_.reference;
    to_reference(false, at_.direction + k * s_.head());
    norm(0, w.weight, r.weight, s_.labels * s_.hidden);
    norm(1, w.bias, r.bias, s_.labels);
    if (!s_.top) return;
    to_reference(true, at_.dense_direction + k * s_.rest());
    norm(2, w.dense, r.dense, s_.hidden * s_.hidden);
    norm(3, w.dense_bias, r.dense_bias, s_.hidden);
  }

  void take_losses(HeadScores& out) {
    const size_t ends = s_.points + 2, n = s_.texts;
    const std::vector<double> loss = download(at_.loss, ends * n);
    const std::vector<float> logits = download(at_.logits, ends * n * s_.labels);
    for (size_t p = 0; p < ends; p++)
      for (size_t i = 0; i < n; i++) {
        if (!std::isfinite(loss[p * n + i])) throw loss_not_finite(i);
        out.loss[i * ends + p] = loss[p * n + i];
        std::copy_n(logits.data() + (p * n + i) * s_.labels, s_.labels, out.logits.data() + (i * ends + p) * s_.labels);
      }
  }

  void set_scale() {
    const std::vector<cuda::PairStatistics> norms = download(at_.norms, s_.points * kParts);
    std::vector<double> scale(s_.points);
    for (size_t k = 0; k < s_.points; k++) {
      double norm2 = 0;
      for (size_t part = 0; part < (s_.top ? 4 : 2); part++) norm2 += norms[k * kParts + part].delta2;
      if (norm2 == 0) throw direction_zero(job_.path.options().lambdas[k]);
      scale[k] = 1 / std::sqrt(norm2);
    }
    upload(at_.scale, scale);
  }

  // Scores, and the gradients' means where they are wanted.
  void align(HeadScores& out) {
    const size_t n = s_.texts, width = s_.hidden;
    const auto reduce = [&](size_t rows, const float* left, size_t ldl, const float* right, const float* direction,
                            double* scores, size_t offset) {
      const cuda::MimicShape shape = s_.shape(rows);
      if (!job_.align) scores = nullptr;
      backend_.mimic(shape, by_.first.data(),
                     {left, ldl, n * ldl, right, width, n * width, job_.align ? direction : nullptr, at_.scale,
                      at_.order, at_.first},
                     {scores, nullptr, nullptr, s_.gradients ? at_.means + offset : nullptr, s_.elements(),
                      s_.gradients ? at_.mean_squares + offset : nullptr},
                     at_.workspace, at_.workspace_bytes);
    };
    reduce(s_.labels, at_.e, s_.labels, h(0), at_.direction, at_.scores, 0);
    double* second = at_.scores + n * s_.points;
    if (at_.a) reduce(s_.hidden, at_.a, width, x(0), at_.dense_direction, s_.top ? second : nullptr, s_.head());
    settle();
    if (!job_.align) return;
    out.alignment = download(at_.scores, n * s_.points);
    if (!s_.top) return;
    const std::vector<double> more = download(second, n * s_.points);
    for (size_t i = 0; i < more.size(); i++) out.alignment[i] += more[i];
  }

  // What gradients.cc computes for one q, of the head and, where there is a dense, of the top.
  void statistics(bool preconditioned, std::vector<GradientStatistics>& all) {
    const double* weights = preconditioned ? at_.weights : nullptr;
    if (preconditioned)
      backend_.gradient_weights(s_.elements(), at_.mean_squares, double(s_.domains * s_.points), at_.weights);
    const auto part = [&](const double* values, size_t offset) { return values ? values + offset : nullptr; };
    const size_t pairs = (s_.domains + 1) * (s_.domains + 1), rows = s_.texts * (s_.domains + 2);
    backend_.gradient_products(s_.domains, s_.elements(), s_.head(), at_.means, at_.delta, weights, at_.products,
                               at_.workspace);
    backend_.clear(at_.per_probe, 2 * rows * sizeof(double));
    if (s_.dense)
      backend_.gradient_products(s_.domains, s_.elements(), s_.rest(), at_.means + s_.head(), at_.delta + s_.head(),
                                 part(weights, s_.head()), at_.products + pairs, at_.workspace);
    for (size_t d = 0; d <= s_.domains; d++) probe_products(d, weights);
    const size_t n = s_.texts, width = s_.hidden, stride = s_.domains + 2;
    double* norms = at_.per_probe + s_.domains + 1;
    backend_.gradient_norms({n, s_.points, s_.labels, width}, at_.e, s_.labels, n * s_.labels, h(0), width, n * width,
                            weights, norms, stride);
    if (s_.dense)
      backend_.gradient_norms({n, s_.points, width, width}, at_.a, width, n * width, x(0), width, n * width,
                              part(weights, s_.head()), norms + rows, stride);
    settle();
    std::vector<double> products = download(at_.products, (s_.dense ? 2 : 1) * pairs);
    std::vector<double> per_probe = download(at_.per_probe, (s_.dense ? 2 : 1) * rows);
    all.push_back(summary(Scope::kHead, preconditioned, products, per_probe));
    if (!s_.dense) return;
    for (size_t i = 0; i < pairs; i++) products[i] += products[pairs + i];
    for (size_t i = 0; i < rows; i++) per_probe[i] += per_probe[rows + i];
    all.push_back(summary(Scope::kTop, preconditioned, products, per_probe));
  }

  // Every probe's ⟨g_i, A_d / u^q⟩, or of the last d ⟨g_i, δ / u^q⟩: the mean over points of e_iᵀ A h_i.
  void probe_products(size_t d, const double* weights) {
    HeadWeights along = at_.point;  // nothing reads θ_k any more
    const size_t n = s_.texts, width = s_.hidden, stride = s_.domains + 2;
    const auto form_along = [&](size_t rows, size_t offset, float* weight, float* bias) {
      const double* by = weights ? weights + offset : nullptr;
      if (d < s_.domains) backend_.mean_along(rows, width, at_.means + d * s_.elements() + offset, by, weight, bias);
      else backend_.delta_along(rows, width, at_.delta + offset, by, weight, bias);
    };
    form_along(s_.labels, 0, along.weight, along.bias);
    if (s_.dense) form_along(width, s_.head(), along.dense, along.dense_bias);
    const double share = 1 / double(s_.points);
    for (size_t k = 0; k < s_.points; k++) {
      backend_.head_logits(n, s_.labels, width, h(k), width, along.weight, along.bias, at_.y, s_.labels);
      backend_.add_products(n, s_.labels, e(k), s_.labels, at_.y, s_.labels, share, at_.per_probe + d, stride);
      if (!s_.dense) continue;
      backend_.ops().linear(n, width, width, x(k), width, along.dense, along.dense_bias, Activation::kNone, at_.y,
                            width, nullptr);
      backend_.add_products(n, width, a(k), width, at_.y, width, share, at_.per_probe + n * stride + d, stride);
    }
    settle();
  }

  GradientStatistics summary(Scope scope, bool preconditioned, const std::vector<double>& products,
                             const std::vector<double>& per_probe) const {
    const size_t d = s_.domains, width = d + 1;
    GradientStatistics out{scope,
                           preconditioned ? 1.0 : 0.0,
                           std::vector<double>(d * d),
                           std::vector<double>(d),
                           products[d * width + d],
                           {per_probe.begin(), per_probe.begin() + s_.texts * (d + 2)}};
    for (size_t i = 0; i < d; i++) {
      for (size_t j = 0; j <= i; j++) out.gram[i * d + j] = out.gram[j * d + i] = products[i * width + j];
      out.displacement[i] = products[d * width + i];
    }
    return out;
  }

  cuda::Backend& backend_;
  const HeadJob& job_;
  const float* features_;
  Context& context_;
  const Sizes s_;
  const ByDomain by_;
  const HeadPlan& plan_;
  const Layout at_;
  DeviceStage stage_;
};

}  // namespace

uint64_t head_room(const HeadJob& job) {
  DeviceRoom room;
  const Layout counted(room, job, Sizes(job), ByDomain(job.domain, job.domains));
  return room.most();
}

HeadResult score_head_on(cuda::Backend& backend, const HeadJob& job, const float* features, DeviceRoom room,
                         Context& context) {
  return DeviceHead(backend, job, features, room, context).run();
}

}  // namespace warp
