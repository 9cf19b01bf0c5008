// Whole runs on a real GPU against the CPU: losses, alignment, determinism, memory given back.
#include "ops/cuda/device.h"
#include "domains.h"

using namespace warp;

struct Case {
  std::unique_ptr<Program> program;
  std::unique_ptr<Path> path;
  PackedTexts texts;
  std::vector<int32_t> label, domain;

  DeviceJob job(Scope scope, bool gradients = false) const {
    return {*program, texts, {*program, *path, label, domain, 3, scope, gradients}, false};
  }
};

static Case make_case(const std::string& kind, const std::string& family, Dtype dtype, size_t count,
                      size_t hidden = 96) {
  Case c;
  small::Sizes sizes;
  sizes.hidden = hidden;
  sizes.heads = hidden / 32;
  sizes.layers = 3;
  c.program = std::make_unique<Program>(small::program(kind, sizes));
  PathOptions options;
  options.family = family;
  options.lambdas = {0.05, 0.35, 0.65, 0.95};
  std::vector<std::shared_ptr<const Weights>> checkpoints;
  for (size_t i = 0; family == "trajectory" && i < options.lambdas.size(); i++)
    checkpoints.push_back(small::weights(*c.program, dtype, 3 + i, 0.1));
  c.path = std::make_unique<Path>(small::weights(*c.program, dtype, 1, 0), small::weights(*c.program, dtype, 2, 0.2),
                                  options, checkpoints);
  std::vector<uint32_t> lengths;
  for (size_t i = 0; i < count; i++) {
    lengths.push_back(uint32_t(1 + i * 37 % 90));
    c.label.push_back(int32_t(i % c.program->outputs));
    c.domain.push_back(int32_t(i * 7 % 3));
  }
  c.texts = small::texts(*c.program, lengths);
  return c;
}

static double largest(const std::vector<double>& values) {
  double most = 0;
  for (double v : values) most = std::max(most, std::fabs(v));
  return most;
}
static HeadResult on_cpu(const Case& c, Scope scope, bool gradients = false) {
  return small::score_on_cpu(*c.program, c.texts, c.job(scope, gradients).head, 4);
}
static HeadScores on_gpu(const Case& c, Scope scope, Precision precision = Precision::kF32, uint64_t memory = 0) {
  Context context;
  return score_on_devices({{0}, precision, memory}, c.job(scope), context).scores;
}

static void check_close(const HeadScores& a, const HeadScores& b, double loss, double alignment,
                        const std::string& what) {
  device::check_near(a.loss, b.loss, loss * (1 + largest(b.loss)), what + ": loss");
  device::check_near(a.alignment, b.alignment, alignment * largest(b.alignment), what + ": alignment");
}

// Inner products of gradients are of two factors that differ by 1e-4 of their size at most; preconditioned ones are
// multiplied by weights that are large where a mean is near zero.
TEST(gradient_statistics_agree_with_the_cpu) {
  for (const char* kind : {"bert", "gpt2"}) {
    const Case c = make_case(kind, "linear", Dtype::kF32, 40);
    const auto expected = on_cpu(c, Scope::kHead, true).gradients;
    Context context;
    const auto found = score_on_devices({{0}, Precision::kF32, 0}, c.job(Scope::kHead, true), context).gradients;
    CHECK(found.size() == expected.size());
    for (size_t i = 0; i < expected.size(); i++) {
      const double tolerance = expected[i].q == 0 ? 5e-4 : 5e-3;
      const std::string what = std::string(kind) + ", statistics " + std::to_string(i);
      device::check_near(found[i].gram, expected[i].gram, tolerance * largest(expected[i].gram), what + ": gram");
      device::check_near(found[i].displacement, expected[i].displacement, tolerance * largest(expected[i].displacement),
                         what + ": displacement");
      device::check_near(found[i].per_probe, expected[i].per_probe, tolerance * largest(expected[i].per_probe),
                         what + ": probes");
    }
  }
}

TEST(float32_agrees_with_the_cpu) {
  for (const char* kind : {"bert", "gpt2"})
    for (const char* family :
         {"linear", "quadratic", "slerp", "ties", "dare", "della", "breadcrumbs", "nearswap", "trajectory"})
      for (Dtype dtype : {Dtype::kF32, Dtype::kBF16}) {
        const Case c = make_case(kind, family, dtype, 40), same = make_case(kind, family, dtype, 40);
        const Scope scope = std::string(kind) == "bert" ? Scope::kTop : Scope::kHead;
        check_close(on_gpu(c, scope), on_cpu(same, scope).scores, 1e-5, 1e-4, std::string(kind) + " " + family);
      }
}

// Products round their factors to 11 (TF32) or 8 (BF16) bits: 2^-11 and 2^-8 of each, sums of rounded terms about as
// much, over three layers of four products whose errors add up: 2^-11 · 12 = 6e-3, 2^-8 · 12 = 5e-2.
TEST(lower_precisions_stay_within_their_bounds) {
  for (const char* kind : {"bert", "gpt2"}) {
    const Case c = make_case(kind, "linear", Dtype::kF32, 40);
    const HeadScores expected = on_cpu(c, Scope::kHead).scores;
    check_close(on_gpu(c, Scope::kHead, Precision::kTF32), expected, 6e-3, 6e-3, std::string(kind) + " tf32");
    check_close(on_gpu(c, Scope::kHead, Precision::kBF16), expected, 5e-2, 5e-2, std::string(kind) + " bf16");
  }
}

TEST(two_runs_and_other_chunks_have_the_same_bits) {
  for (const char* kind : {"bert", "gpt2"}) {
    const Case c = make_case(kind, "linear", Dtype::kF16, 800);  // several tiles
    const HeadScores first = on_gpu(c, Scope::kHead), second = on_gpu(c, Scope::kHead);
    CHECK(first.loss == second.loss && first.alignment == second.alignment && first.logits == second.logits);
    const uint64_t least = plan_on_devices({{0}, Precision::kF32, 0}, c.job(Scope::kHead)).forward.smallest_bytes;
    const HeadScores pieces = on_gpu(c, Scope::kHead, Precision::kF32, least);
    CHECK(plan_on_devices({{0}, Precision::kF32, least}, c.job(Scope::kHead)).forward.chunks > 1);
    CHECK(first.loss == pieces.loss && first.alignment == pieces.alignment);
  }
}

// Texts that fill more than one tile, and a vocabulary whose logits take more than one block.
static scopes::Case scoped(const std::string& kind, const std::string& family, size_t texts, bool classifier = false) {
  small::Sizes sizes;
  sizes.hidden = 96;
  sizes.heads = 3;
  sizes.layers = 3;
  sizes.vocabulary = 700;
  std::vector<uint32_t> lengths;
  for (size_t i = 0; i < texts; i++) lengths.push_back(uint32_t(1 + i * 37 % 90));
  Program program = classifier ? small::program(kind, sizes) : small::language_program(kind, sizes);
  scopes::Case c = scopes::make_case(std::move(program), scopes::family(family), Dtype::kF32, lengths);
  c.names = scopes::names_of(c.program, [](const std::string&) { return true; });
  return c;
}

TEST(language_models_and_scopes_agree_with_the_cpu) {
  for (const char* family : {"linear", "ties", "slerp"}) {
    for (const char* kind : {"gpt2", "plain", "capped"}) {
      scopes::Case c = scoped(kind, family, 40);
      scopes::check_case(c, std::string(kind) + " " + family + ", all");
      c.names = scopes::names_of(c.program, [](const std::string& n) { return n.find(".1.") != std::string::npos; });
      scopes::check_case(c, std::string(kind) + " " + family + ", a layer");
      c.names.clear();
      scopes::check_case(c, std::string(kind) + " " + family + ", losses");
    }
    for (const char* kind : {"bert", "gpt2"})
      scopes::check_case(scoped(kind, family, 40, true), std::string(kind) + " classifier " + family);
  }
}

TEST(gradients_of_domains_agree_with_the_cpu) {
  for (const char* kind : {"gpt2", "plain", "capped"}) {
    scopes::Case c = scoped(kind, "linear", 400);
    c.names = scopes::names_of(c.program, [](const std::string& n) { return !scopes::key_bias(n); });
    scopes::check_domains(c, kind);
    scopes::check_domains(c, std::string(kind) + ", sampled", 0.1);
  }
  scopes::check_domains(scoped("bert", "linear", 400, true), "bert");
}

TEST(scopes_have_the_same_bits_twice_and_in_other_chunks) {
  for (const char* kind : {"gpt2", "capped"}) {
    const scopes::Case c = scoped(kind, "linear", 800);
    const DeviceScored first = scopes::on_device(c), second = scopes::on_device(c);
    const uint64_t least = plan_on_devices({{0}, Precision::kF32, 0}, c.job()).forward.smallest_bytes;
    CHECK(plan_on_devices({{0}, Precision::kF32, least}, c.job()).forward.chunks > 1);
    const DeviceScored pieces = scopes::on_device(c, least);
    for (const DeviceScored* other : {&second, &pieces})
      CHECK(first.scores.loss == other->scores.loss && first.scores.alignment == other->scores.alignment &&
            first.token_loss == other->token_loss);
  }
}

static size_t free_bytes() {
  size_t free = 0, total = 0;
  cuda::check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

TEST(memory_is_given_back_after_runs_and_aborts) {
  const Case c = make_case("bert", "linear", Dtype::kF32, 40);
  on_gpu(c, Scope::kHead);  // what the driver and cuBLAS keep for good
  const size_t before = free_bytes();
  for (int i = 0; i < 50; i++) on_gpu(c, Scope::kHead);
  CHECK(free_bytes() >= before);
  for (int i = 0; i < 20; i++) {
    Context context;
    context.report = [&](double done, double total) {
      if (done >= total * i / 25) context.cancel();
    };
    bool cancelled = false;
    try {
      score_on_devices({{0}, Precision::kF32, 0}, c.job(Scope::kHead), context);
    } catch (const Cancelled&) {
      cancelled = true;
    }
    CHECK(cancelled);
  }
  CHECK(free_bytes() >= before && cuda::device_bytes() == 0);
}

TEST_MAIN
