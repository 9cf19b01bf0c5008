// Gradients of domains on the pretended device: every kind of network, several batches, memory, failures.
#include "domains.h"

using namespace warp;
using namespace scopes;

TEST(language_models_agree) {
  for (const char* kind : {"gpt2", "plain", "capped"}) {
    Case c = all_of(small::language_program(kind));
    check_domains(c, kind);
    check_domains(c, std::string(kind) + ", sampled", 0.3);
    c.names = names_of(c.program, [](const std::string& n) { return has(n, ".1.") && !key_bias(n); });
    check_domains(c, std::string(kind) + ", the last layer");
  }
}

TEST(classifiers_agree) {
  for (const char* kind : {"bert", "gpt2"}) {
    Case c = all_of(small::program(kind));
    check_domains(c, kind);
    c.names = names_of(c.program, [](const std::string&) { return true; });
    check_domains(c, std::string(kind) + ", biases of keys too");
  }
  Program means = small::program("bert");
  means.select = Select::kMean;
  finish_program(means);
  check_domains(all_of(std::move(means)), "means");
  Case c = all_of(small::program("bert"));
  c.names = names_of(c.program, [](const std::string& n) { return has(n, "classifier"); });
  check_domains(c, "the head alone");
}

TEST(path_families_agree) {
  for (const char* name : {"slerp", "ties", "dare"})
    check_domains(all_of(small::language_program("gpt2"), family(name)), name);
}

// More texts than a batch takes.
TEST(several_batches_agree) {
  const Case c =
      all_of(small::language_program("plain", {12, 2, 1, 0, 20, 96}), family("linear"), std::vector<uint32_t>(220, 90));
  check_domains(c, "batches");
}

TEST(what_does_not_fit_is_refused_and_everything_is_freed) {
  const Case c = all_of(small::language_program("gpt2"));
  const auto code = [&](const DomainJob& job) -> std::string {
    Context context;
    try {
      DomainGradients::compute(job, context);
    } catch (const Error& error) {
      CHECK(error.kind == Kind::kResource && !error.hint.empty());
      return error.code;
    }
    return "";
  };
  DomainJob tight = job_of(c, c.path.get(), true);
  tight.device.memory = 10000;
  CHECK(code(tight) == "DEVICE_MEMORY_BUDGET");
  DomainJob absent = job_of(c, c.path.get(), true);
  absent.device.indices = {3};
  CHECK(code(absent) == "CUDA_NO_DEVICE");
  Case longer = all_of(small::language_program("plain", {12, 2, 1, 0, 20, 16384}), family("linear"), {12300, 3, 4, 5});
  CHECK(code(job_of(longer, longer.path.get(), true)) == "DEVICE_TEXT_LENGTH");
  size_t failed = 0;
  for (int calls = 0; calls < 20000; calls += 1 + calls / 2) {
    shim::machine().calls_until_failure = calls;
    const std::string found = code(job_of(c, c.path.get(), true));
    shim::machine().calls_until_failure = -1;
    CHECK(shim::memory_in_use() == 0 && shim::handles() == 0);
    if (found.empty()) break;
    CHECK(found == "CUDA_KERNEL_FAILED");
    failed++;
  }
  CHECK(failed > 10);
}

TEST_MAIN
