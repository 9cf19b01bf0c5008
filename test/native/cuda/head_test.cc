// The classification head on the device, from the device's own head inputs, against score_head on the CPU.
#include "on_device.h"
#include "scoring/device_score.h"
#include "small_models.h"

using namespace warp;

struct Both {
  HeadScores cpu, device;
};

static Both score(const std::string& kind, const std::string& family, Scope scope, std::vector<double> lambdas) {
  const auto model = make_model(small::spec(kind));
  PathOptions options;
  options.family = family;
  options.lambdas = std::move(lambdas);
  const Path path(small::weights(*model, Dtype::kF32, 1, 0), small::weights(*model, Dtype::kF32, 2, 0.2), options);
  const PackedTexts texts = small::texts(model->spec, {5, 1, 17, 33, 9, 12, 2});
  const size_t count = texts.texts(), points = options.lambdas.size(), domains = 2;
  const std::vector<int32_t> label = {0, 2, 1, 1, 0, 2, 2}, domain = {1, 0, 0, 1, 1, 0, 1};
  Context context;
  Both both;
  const auto backend = cuda::Backend::open(0, Precision::kF32);
  const uint64_t room = head_room(model->spec, scope, count, points, domain, domains);
  DeviceForward forward(*model, *backend, path, texts, 0, room);
  forward.run(context);
  const Head head(model->spec, path, cpu_ops());
  both.device = score_head_on(*backend, head, path, forward.features(), label, domain, domains, scope, forward.room(), room, context);
  Threads threads(1);
  both.cpu = score_head(head, path, forward.download(), count, label, scope, threads, context);
  return both;
}

TEST(losses_logits_and_alignment_agree_with_the_cpu) {
  for (const char* kind : {"bert", "gpt2"})
    for (const char* family : {"linear", "slerp"})
      for (Scope scope : {Scope::kHead, Scope::kTop}) {
        if (scope == Scope::kTop && std::string(kind) == "gpt2") continue;
        const Both both = score(kind, family, scope, {0.05, 0.5, 0.95});
        // from the same head inputs: roundings of the pooler's float32 product (24 terms) and of the logits
        device::check_near(both.device.loss, both.cpu.loss, 1e-5, "loss");
        device::check_near(both.device.logits, both.cpu.logits, 1e-5, "logits");
        double largest = 0;
        for (double s : both.cpu.alignment) largest = std::max(largest, std::fabs(s));
        CHECK(largest > 0);
        device::check_near(both.device.alignment, both.cpu.alignment, 1e-5 * largest, "alignment");
      }
}

TEST(a_direction_of_zero_names_its_point) {
  try {
    score("bert", "linear", Scope::kHead, {0.5, 1.0});
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code == "DIRECTION_ZERO" && error.message.find("1.0") != std::string::npos);
  }
}

TEST(several_devices_share_the_texts_out) {
  const auto model = make_model(small::spec("bert"));
  PathOptions options;
  options.lambdas = {0.3, 0.8};
  const Path path(small::weights(*model, Dtype::kF32, 1, 0), small::weights(*model, Dtype::kF32, 2, 0.2), options);
  const PackedTexts texts = small::texts(model->spec, {5, 1, 17, 33, 9, 12, 2});
  const std::vector<int32_t> label = {0, 2, 1, 1, 0, 2, 2}, domain = {1, 0, 0, 1, 1, 0, 1};
  const DeviceJob job{*model, path, texts, label, domain, 2, Scope::kTop, true};
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
