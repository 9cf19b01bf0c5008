// Everything score_on_devices gives, for every family, against the CPU: losses, logits, alignment, gradient statistics.
#include "on_cpu.h"
#include "on_device.h"
#include "scoring/device_score.h"
#include "small_models.h"

using namespace warp;

struct Case {
  std::unique_ptr<Program> program;
  std::unique_ptr<Path> path, same;  // the same path twice: nothing that one found reaches the other
  PackedTexts texts;
  std::vector<int32_t> label = {0, 2, 1, 1, 0, 2, 2}, domain = {1, 0, 0, 1, 1, 0, 1};
  Scope scope = Scope::kHead;

  DeviceJob job() const { return {*program, texts, {*program, *path, label, domain, 2, scope, true}, true}; }
};

static Case make_case(const std::string& kind, PathOptions options, Dtype dtype = Dtype::kF32,
                      Activation dense = Activation::kTanh) {
  Case c;
  c.program = std::make_unique<Program>(small::program(kind));
  for (Step& step : c.program->head.steps)
    if (step.kind == StepKind::kActivate) step.activation = dense;
  finish_program(*c.program);
  if (options.lambdas.empty()) options.lambdas = {0.05, 0.5, 0.95};
  const auto path = [&] {
    std::vector<std::shared_ptr<const Weights>> checkpoints;
    if (options.family == "trajectory")
      for (size_t i = 0; i < options.lambdas.size(); i++)
        checkpoints.push_back(small::weights(*c.program, dtype, 3 + i, 0.1));
    return std::make_unique<Path>(small::weights(*c.program, dtype, 1, 0), small::weights(*c.program, dtype, 2, 0.2),
                                  options, checkpoints);
  };
  c.path = path();
  c.same = path();
  c.texts = small::texts(*c.program, {5, 1, 17, 33, 9, 12, 2});
  if (kind == "bert") c.scope = Scope::kTop;
  return c;
}
static PathOptions family(const std::string& name, const std::string& rescale = "inverse-density") {
  PathOptions options;
  options.family = name;
  options.rescale = rescale;
  return options;
}

static HeadResult on_cpu(const Case& c) {
  return small::score_on_cpu(*c.program, c.texts, {*c.program, *c.same, c.label, c.domain, 2, c.scope, true}, 1);
}

static void check_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance,
                        const std::string& what) {
  double largest = 0;
  for (double v : b) largest = std::max(largest, std::fabs(v));
  CHECK(largest > 0);
  device::check_near(a, b, tolerance * largest, what);
}

// Head inputs differ by 1e-5 of their size (forward_test.cc), and so do logits, residuals and pooled inputs, which stay
// below ten: losses and scores by some 1e-5. Inner products of gradients are of two such factors each, and of a third
// where preconditioned: a mean near zero has a large weight.
static void check_case(const Case& c, const std::string& what) {
  Context context;
  const DeviceScored device = score_on_devices({{0}, Precision::kF32, 0}, c.job(), context);
  const HeadResult cpu = on_cpu(c);
  device::check_near(device.scores.loss, cpu.scores.loss, 5e-5, what + ": loss");
  device::check_near(device.scores.logits, cpu.scores.logits, 5e-5, what + ": logits");
  check_close(device.scores.alignment, cpu.scores.alignment, 1e-4, what + ": alignment");
  CHECK(device.gradients.size() == cpu.gradients.size());
  for (size_t i = 0; i < cpu.gradients.size(); i++) {
    const GradientStatistics &a = device.gradients[i], &b = cpu.gradients[i];
    CHECK(a.scope == b.scope && a.q == b.q);
    const double tolerance = b.q == 0 ? 2e-4 : 1e-3;
    const std::string which = what + (b.scope == Scope::kTop ? ", top, q " : ", head, q ") + std::to_string(int(b.q));
    check_close(a.gram, b.gram, tolerance, which + ": gram");
    check_close(a.displacement, b.displacement, tolerance, which + ": displacement");
    check_close({a.displacement_norm2}, {b.displacement_norm2}, 1e-5, which + ": norm of the displacement");
    CHECK(a.per_probe.size() == b.per_probe.size());
    for (size_t column = 0; column < 4; column++) {  // two domains, displacement, norm: each of its own size
      std::vector<double> left, right;
      for (size_t j = column; j < a.per_probe.size(); j += 4) {
        left.push_back(a.per_probe[j]);
        right.push_back(b.per_probe[j]);
      }
      check_close(left, right, tolerance, which + ": probes, column " + std::to_string(column));
    }
  }
  // what the path did with each tensor is known in the same words
  const auto here = c.path->record(), there = c.same->record();
  CHECK(here.size() == there.size());
  for (size_t i = 0; i < here.size(); i++) {
    CHECK(here[i].name == there[i].name && here[i].branch == there[i].branch && here[i].kept == there[i].kept);
    CHECK(std::fabs(here[i].scale - there[i].scale) <= 1e-12 * there[i].scale);
  }
}

TEST(every_family_agrees_with_the_cpu) {
  for (const char* kind : {"bert", "gpt2"})
    for (const char* name :
         {"linear", "quadratic", "slerp", "ties", "dare", "della", "breadcrumbs", "nearswap", "trajectory"})
      check_case(make_case(kind, family(name)), std::string(kind) + " " + name);
}

TEST(options_and_dtypes_of_families_agree) {
  for (const char* name : {"dare", "della"})
    for (const char* rescale : {"l1", "none"})
      check_case(make_case("bert", family(name, rescale)), std::string(name) + " " + rescale);
  PathOptions options = family("ties");
  options.density = 1;  // everything kept: no mask
  check_case(make_case("gpt2", options), "ties of density 1");
  options = family("slerp");
  options.fixed = {"word_embeddings.weight", "classifier.bias"};
  options.mergekit = true;
  check_case(make_case("bert", options), "slerp with fixed tensors");
  for (Dtype dtype : {Dtype::kF16, Dtype::kBF16})
    for (const char* name : {"ties", "della", "nearswap"}) check_case(make_case("bert", family(name), dtype), name);
}

TEST(other_activations_of_the_dense_layer_agree) {
  for (Activation dense : {Activation::kRelu, Activation::kGelu, Activation::kSilu}) {
    check_case(make_case("bert", family("linear"), Dtype::kF32, dense), "dense " + std::to_string(int(dense)));
    Case c = make_case("bert", family("linear"), Dtype::kF32, dense);
    c.scope = Scope::kHead;
    check_case(c, "head, dense " + std::to_string(int(dense)));
  }
}

TEST(the_head_alone_agrees_and_orders_of_threads_do_not_matter) {
  for (const char* name : {"linear", "dare"}) {
    Case c = make_case("bert", family(name, "l1"));
    c.scope = Scope::kHead;
    check_case(c, "head");
    device::twice([&] {
      Context context;
      DeviceScored scored = score_on_devices({{0}, Precision::kF32, 0}, c.job(), context);
      for (const GradientStatistics& s : scored.gradients) {
        scored.scores.alignment.insert(scored.scores.alignment.end(), s.gram.begin(), s.gram.end());
        scored.scores.alignment.insert(scored.scores.alignment.end(), s.per_probe.begin(), s.per_probe.end());
      }
      return scored.scores.alignment;
    });
  }
}

TEST(a_direction_of_zero_names_its_point) {
  PathOptions options = family("linear");
  options.lambdas = {0.5, 1.0};
  const Case c = make_case("bert", options);
  Context context;
  try {
    score_on_devices({{0}, Precision::kF32, 0}, c.job(), context);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code == "DIRECTION_ZERO" && error.message.find("1.0") != std::string::npos);
  }
}

TEST(several_devices_share_the_texts_out) {
  PathOptions options = family("ties");
  options.lambdas = {0.3, 0.8};
  const Case c = make_case("bert", options);
  const DeviceJob job = c.job();
  shim::machine().devices = 3;
  Context context;
  const DeviceScored one = score_on_devices({{0}, Precision::kF32, 0}, job, context);
  CHECK(plan_on_devices({{0, 2}, Precision::kF32, 0}, job).forward.tokens == 79);
  for (const std::vector<int>& indices : {std::vector<int>{1, 2}, {0, 1, 2}}) {
    double last = 0, all = 0;
    context.report = [&](double done, double total) {
      CHECK(done >= last);
      last = done;
      all = total;
    };
    const DeviceScored shared = score_on_devices({indices, Precision::kF32, 0}, job, context);
    CHECK(last == all && all == 79.0 * 2 * 4);
    // the pretended products do not depend on how rows are split
    CHECK(shared.scores.loss == one.scores.loss && shared.scores.alignment == one.scores.alignment);
    CHECK(shared.scores.logits == one.scores.logits);
    CHECK(shared.gradients.back().per_probe == one.gradients.back().per_probe);
    CHECK(std::equal(shared.features.begin(), shared.features.end(), one.features.begin(), one.features.end()));
  }
  context.report = [&](double, double) { context.cancel(); };
  bool cancelled = false;
  try {
    score_on_devices({{0, 1}, Precision::kF32, 0}, job, context);
  } catch (const Cancelled&) {
    cancelled = true;
  }
  CHECK(cancelled && shim::memory_in_use() == 0);
  Context fresh;
  try {
    score_on_devices({{0, 5}, Precision::kF32, 0}, job, fresh);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code == "CUDA_NO_DEVICE");
  }
  shim::machine().devices = 1;
}

TEST_MAIN
