// Scores along the path in any scope, and the language objective, on the pretended device against the CPU: losses of
// texts and tokens, alignment; memory, chunks, streams, devices, abort.
#include "scopes.h"

using namespace warp;
using namespace scopes;

// The forward passes alone, in small tiles and blocks of logits.
static DeviceResults in_pieces(const Case& c, uint64_t budget = 0, size_t* chunks = nullptr) {
  const auto backend = cuda::Backend::open(0, Precision::kF32);
  DeviceForward forward(c.pass(*backend), budget, 0);
  Context context;
  forward.run(context);
  if (chunks) *chunks = forward.plan().forward.chunks;
  return forward.results();
}

TEST(language_models_agree_in_every_scope) {
  for (const char* kind : {"gpt2", "plain", "capped"}) {
    const auto run = [&](const char* what, auto wanted) {
      Case c = make_case(small::language_program(kind), family("linear"));
      c.names = names_of(c.program, wanted);
      check_case(c, std::string(kind) + ", " + what);
    };
    run("all", [](const std::string&) { return true; });
    run("last layer", [](const std::string& n) { return has(n, ".1."); });
    run("norms and biases", [](const std::string& n) { return has(n, "norm") || has(n, "ln_") || has(n, "bias"); });
    run("tables", [](const std::string& n) { return has(n, "wte") || has(n, "wpe") || has(n, "embed"); });
    run("some", [](const std::string& n) { return has(n, "c_attn") || has(n, ".k.") || has(n, "up."); });
    run("output", [](const std::string& n) { return has(n, "lm_head") || has(n, "ln_f") || n == "norm.weight"; });
  }
}

TEST(losses_without_a_scope_agree) {
  for (const char* kind : {"gpt2", "plain", "capped"})
    check_case(make_case(small::language_program(kind), family("linear")), kind);
}

TEST(classifiers_agree_in_scopes_beyond_the_head) {
  for (const char* kind : {"bert", "gpt2"}) {
    const auto run = [&](const char* what, auto wanted) {
      Case c = make_case(small::program(kind), family("linear"));
      c.names = names_of(c.program, wanted);
      check_case(c, std::string(kind) + ", " + what);
    };
    run("all", [](const std::string&) { return true; });
    run("layers", [](const std::string& n) { return has(n, "layer.") || has(n, "h."); });
    run("embedding", [](const std::string& n) { return has(n, "embeddings.") || has(n, "wte") || has(n, "wpe"); });
    run("norm of the embedding", [](const std::string& n) { return has(n, "embeddings.LayerNorm") || has(n, "ln_1"); });
    run("values alone", [](const std::string& n) { return has(n, "self.value.weight") || has(n, "0.attn.c_attn.w"); });
    run("a bias", [](const std::string& n) { return has(n, "1.output.dense.bias") || has(n, "h.1.mlp.c_proj.bias"); });
    run("head", [](const std::string& n) { return has(n, "classifier") || has(n, "score"); });
  }
}

// What the head reads is the mean of a text's rows, and its dense layer has another activation than tanh.
TEST(heads_of_means_and_other_activations_agree) {
  for (Activation activation : {Activation::kRelu, Activation::kGelu}) {
    Program program = small::program("bert");
    for (Step& step : program.head.steps)
      if (step.kind == StepKind::kActivate) step.activation = activation;
    program.select = Select::kMean;
    finish_program(program);
    Case c = make_case(std::move(program), family("linear"));
    for (const char* part : {"", "layer.", "pooler."}) {
      c.names = names_of(c.program, [&](const std::string& n) { return has(n, part); });
      check_case(c, std::string("means, ") + part);
    }
  }
}

TEST(every_path_family_and_dtype_agrees) {
  bool tied = false;
  for (const char* name : {"quadratic", "slerp", "ties", "dare", "della", "breadcrumbs", "nearswap", "trajectory"}) {
    tied = !tied;
    for (Program program : {small::language_program(tied ? "capped" : "plain"), small::program("bert")}) {
      Case c = make_case(std::move(program), family(name), tied ? Dtype::kF16 : Dtype::kBF16);
      c.names = names_of(c.program, [](const std::string&) { return true; });
      check_case(c, name);
    }
  }
}

static bool same(const DeviceResults& a, const DeviceResults& b) {
  return a.loss == b.loss && a.token_loss == b.token_loss && a.slope == b.slope && a.norm2 == b.norm2;
}

static std::vector<Case> all_scopes() {
  std::vector<Case> cases;
  for (const char* kind : {"gpt2", "capped"}) cases.push_back(make_case(small::language_program(kind), family("ties")));
  cases.push_back(make_case(small::program("bert"), family("linear")));
  for (Case& c : cases) c.names = names_of(c.program, [](const std::string&) { return true; });
  return cases;
}

TEST(blocks_chunks_and_streams_do_not_change_a_bit) {
  for (const Case& c : all_scopes()) {
    size_t one = 0, many = 0;
    const DeviceResults whole = in_pieces(c, 0, &one);
    const auto backend = cuda::Backend::open(0, Precision::kF32);
    const uint64_t smallest = DeviceForward(c.pass(*backend), 0, 0).plan().forward.smallest_bytes;
    CHECK(same(whole, in_pieces(c, smallest + 4096, &many)));
    CHECK(one == 1 && many > 1);
    for (shim::Late late : {shim::Late::kAll, shim::Late::kFirst, shim::Late::kSecond}) {
      shim::late_streams(late);
      CHECK(same(whole, in_pieces(c, smallest + 4096)));
      shim::late_streams(shim::Late::kNone);
    }
    shim::reverse_order(true);
    CHECK(same(whole, in_pieces(c)));
    shim::reverse_order(false);
    // the pretended products do not depend on how rows are split
    const DeviceScored larger = on_device(c);
    if (c.program.language) CHECK(larger.scores.loss == whole.loss && larger.token_loss == whole.token_loss);
    CHECK(larger.scores.alignment == scores_along(whole.slope, {c.names, whole.norm2}, *c.path));
  }
  CHECK(shim::memory_in_use() == 0 && shim::handles() == 0);
}

TEST(several_devices_share_the_texts_out) {
  for (const Case& c : all_scopes()) {
    const DeviceScored one = on_device(c);
    shim::machine().devices = 3;
    Context context;
    const DeviceScored shared = score_on_devices({{0, 2, 1}, Precision::kF32, 0}, c.job(), context);
    shim::machine().devices = 1;
    CHECK(shared.scores.loss == one.scores.loss && shared.scores.alignment == one.scores.alignment);
    CHECK(shared.token_loss == one.token_loss && shared.scores.logits == one.scores.logits);
  }
}

// A table of more elements than one step of its norm takes.
TEST(norms_of_large_tables_agree) {
  small::Sizes sizes;
  sizes.vocabulary = 12000;
  sizes.layers = 1;
  Case c = make_case(small::program("bert", sizes), family("linear", {0.5}));
  c.names = {"embeddings.word_embeddings.weight"};
  check_case(c, "large table");
}

TEST(a_direction_of_zero_and_losses_that_are_not_finite_are_refused) {
  Case c = make_case(small::language_program("plain"), family("linear", {0.5, 1.0}));
  c.names = names_of(c.program, [](const std::string& n) { return has(n, "layers.1"); });
  const auto code = [](const Case& refused) -> std::string {
    try {
      on_device(refused);
    } catch (const Error& error) {
      CHECK(error.kind == Kind::kInput && !error.hint.empty());
      return error.code;
    }
    return "";
  };
  CHECK(code(c) == "DIRECTION_ZERO");
  Case broken = make_case(small::language_program("plain"), family("linear"));
  for (size_t i = 0; i < broken.program.tables.size(); i++) broken.program.tables[i].factor = INFINITY;
  CHECK(code(broken) == "LOSS_NOT_FINITE");
}

TEST(an_abort_or_a_failure_frees_everything) {
  for (const Case& c : all_scopes()) {
    const double all = double(c.texts.offsets.back()) * double(c.program.layers.size()) * 4;
    for (double when : {1.0, 0.5 * all, 0.99 * all}) {
      Context stopping;
      stopping.report = [&](double done, double total) {
        CHECK(total == all);
        if (done >= when) stopping.cancel();
      };
      bool cancelled = false;
      try {
        score_on_devices({{0}, Precision::kF32, 0}, c.job(), stopping);
      } catch (const Cancelled&) {
        cancelled = true;
      }
      CHECK(cancelled && shim::memory_in_use() == 0 && cuda::device_bytes() == 0);
    }
    size_t failed = 0;
    for (int calls = 0; calls < 20000; calls += 1 + calls / 2) {
      shim::machine().calls_until_failure = calls;
      bool ended = false;
      try {
        on_device(c);
        ended = true;
      } catch (const Error& error) {
        CHECK(error.code == "CUDA_KERNEL_FAILED");
        failed++;
      }
      shim::machine().calls_until_failure = -1;
      CHECK(shim::memory_in_use() == 0);
      if (ended) break;
    }
    CHECK(failed > 10);
  }
}

TEST_MAIN
