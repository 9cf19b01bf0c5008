// Whole forward passes of both architectures on the device against the CPU backend; memory, chunks, abort, failures.
#include "on_cpu.h"
#include "on_device.h"
#include "ops/cuda/device.h"
#include "scoring/device.h"
#include "shim/cublas.h"
#include "small_models.h"

using namespace warp;

static const std::vector<uint32_t> kLengths = {5, 1, 17, 33, 9, 64, 2, 40};

struct Case {
  std::unique_ptr<Program> program;
  std::unique_ptr<Path> path;
  PackedTexts texts;
};
static Case make_case(const std::string& kind, Dtype dtype, PathOptions options,
                      std::vector<uint32_t> lengths = kLengths) {
  Case made;
  made.program = std::make_unique<Program>(small::program(kind));
  std::vector<std::shared_ptr<const Weights>> checkpoints;
  if (options.family == "trajectory")
    for (size_t i = 0; i < options.lambdas.size(); i++)
      checkpoints.push_back(small::weights(*made.program, dtype, 3 + i, 0.1));
  made.path = std::make_unique<Path>(small::weights(*made.program, dtype, 1, 0),
                                     small::weights(*made.program, dtype, 2, 0.2), options, checkpoints);
  made.texts = small::texts(*made.program, lengths);
  return made;
}
static PathOptions family(const std::string& name, std::vector<double> lambdas = {0.2, 0.7}) {
  PathOptions options;
  options.family = name;
  options.lambdas = std::move(lambdas);
  return options;
}

static std::vector<float> on_cpu(const Case& c) {
  Threads threads(1);
  const Buffer<float> x =
      small::forward_on_cpu(*c.program, *c.path, c.texts, std::vector<int32_t>(c.texts.texts()), threads).features;
  return {x.begin(), x.end()};
}
static DevicePass pass_of(const Case& c, cuda::Backend& backend, size_t tile) {
  DevicePass pass{*c.program, backend, *c.path, c.texts};
  pass.tile_tokens = tile;
  return pass;
}
static std::vector<float> features_of(const Case& c, cuda::Backend& backend, const DeviceForward& forward) {
  std::vector<float> x((size_t(c.path->points()) + 2) * c.texts.texts() * c.program->features());
  backend.download(x.data(), forward.features(), x.size() * sizeof(float), cuda::Queue::kCompute);
  return x;
}
static std::vector<float> on_device(const Case& c, uint64_t budget, size_t tile, size_t* chunks = nullptr,
                                    Context* context = nullptr) {
  const auto backend = cuda::Backend::open(0, Precision::kF32);
  DeviceForward forward(pass_of(c, *backend, tile), budget, 0);
  Context own;
  forward.run(context ? *context : own);
  if (chunks) *chunks = forward.plan().forward.chunks;
  return features_of(c, *backend, forward);
}

// Head inputs are below about 10. Every layer rounds sums of up to 73 products, 2^-24 each, and its normalisations
// multiply by gain / deviation, below about 4: 2 layers, 1e-5 · 10.
static constexpr double kTolerance = 1e-4;

TEST(both_architectures_in_every_dtype_agree_with_the_cpu) {
  for (const char* kind : {"bert", "gpt2"})
    for (Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBF16, Dtype::kF64}) {
      const Case c = make_case(kind, dtype, family("linear"));
      const auto expected = on_cpu(c);
      device::check_near(device::twice([&] { return on_device(c, 0, 16384); }), expected, kTolerance, kind);
      device::check_near(on_device(c, 0, 40), expected, kTolerance, kind);  // several tiles
    }
}

TEST(every_path_family_agrees_with_the_cpu) {
  for (const char* kind : {"bert", "gpt2"})
    for (const char* name : {"quadratic", "slerp", "ties", "dare", "della", "breadcrumbs", "nearswap", "trajectory"}) {
      const Case c = make_case(kind, Dtype::kF16, family(name, {0.0, 0.6}));
      device::check_near(on_device(c, 0, 16384), on_cpu(c), kTolerance, std::string(kind) + " " + name);
    }
}

TEST(chunks_do_not_change_a_bit_and_memory_is_given_back) {
  for (const char* kind : {"bert", "gpt2"}) {
    const Case c = make_case(kind, Dtype::kF32, family("linear"));
    size_t one = 0, many = 0;
    const auto whole = on_device(c, 0, 40, &one);
    const auto backend = cuda::Backend::open(0, Precision::kF32);
    const uint64_t smallest = DeviceForward(pass_of(c, *backend, 40), 0, 0).plan().forward.smallest_bytes;
    const auto pieces = on_device(c, smallest + 4096, 40, &many);
    CHECK(one == 1 && many > 2);
    CHECK(whole == pieces);
    try {
      DeviceForward(pass_of(c, *backend, 40), smallest - 1, 0);
      CHECK(false);
    } catch (const Error& error) {
      CHECK(error.code == "DEVICE_MEMORY_BUDGET" && error.kind == Kind::kResource);
    }
  }
  CHECK(shim::memory_in_use() == 0 && shim::handles() == 0 && cuda::device_bytes() == 0);
}

TEST(memory_that_others_took_since_the_plan_makes_smaller_chunks) {
  const Case c = make_case("bert", Dtype::kF32, family("linear"));
  const auto expected = on_device(c, 0, 40);
  const auto backend = cuda::Backend::open(0, Precision::kF32);
  DeviceForward forward(pass_of(c, *backend, 40), 0, 0);
  const uint64_t peak = forward.plan().forward.peak_bytes, smallest = forward.plan().forward.smallest_bytes;
  const size_t machine = shim::machine().memory;
  shim::machine().memory = shim::memory_in_use() + (peak + smallest) / 2;
  Context context;
  forward.run(context);
  CHECK(forward.plan().forward.chunks > 1 && forward.plan().forward.peak_bytes < peak);
  CHECK(features_of(c, *backend, forward) == expected);
  shim::machine().memory = machine;
  const auto other = cuda::Backend::open(0, Precision::kF32);
  DeviceForward hopeless(pass_of(c, *other, 40), 0, 0);
  shim::machine().memory = shim::memory_in_use() + 1000;
  try {
    hopeless.run(context);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code == "CUDA_OUT_OF_MEMORY");
  }
  shim::machine().memory = machine;
}

// Whatever the streams' timing: only waits that are asked for hold, staging is read late, memory is written early.
TEST(layers_are_uploaded_beside_the_computation_in_any_timing) {
  for (const char* kind : {"bert", "gpt2"})
    for (const char* name : {"linear", "ties"}) {
      const PathOptions options = family(name, {0.3, 0.6});
      std::vector<float> expected;
      for (shim::Late late : {shim::Late::kNone, shim::Late::kAll, shim::Late::kFirst, shim::Late::kSecond}) {
        const Case c = make_case(kind, Dtype::kF32, options);
        shim::late_streams(late);
        shim::copies() = {};
        const auto found = on_device(c, 0, 40);
        shim::late_streams(shim::Late::kNone);
        if (expected.empty()) expected = found;
        CHECK(found == expected);
        CHECK(shim::copies().pinned >= 2 * 12);  // two layers of at least twelve tensors
      }
    }
  CHECK(shim::memory_in_use() == 0 && shim::handles() == 0);
}

TEST(without_page_locked_memory_everything_still_works) {
  const auto run = [] { return on_device(make_case("bert", Dtype::kF32, family("linear")), 0, 40); };
  const auto expected = run();
  shim::machine().pinning = false;
  shim::copies() = {};
  CHECK(run() == expected && shim::copies().pinned == 0);
  shim::machine().pinning = true;
}

TEST(a_timed_backend_counts_uploads_and_stalls) {
  const Case c = make_case("gpt2", Dtype::kF32, family("linear"));
  for (bool timed : {false, true}) {
    const auto backend = cuda::Backend::open(0, Precision::kF32, timed);
    DeviceForward forward({*c.program, *backend, *c.path, c.texts}, 0, 0);
    Context context;
    forward.run(context);
    const cuda::Timeline t = backend->timeline();  // every span takes a millisecond here
    CHECK(timed ? t.uploads >= 2 * 12e-3 && t.stalls == 2e-3 : t.uploads == 0 && t.stalls == 0);
  }
  CHECK(shim::handles() == 0);
}

TEST(progress_is_monotonic_and_complete_and_an_abort_frees_everything) {
  const Case c = make_case("gpt2", Dtype::kF32, family("linear"));
  double last = 0, all = 0;
  Context context;
  context.report = [&](double done, double total) {
    CHECK(done > last && done <= total);
    last = done;
    all = total;
  };
  on_device(c, 0, 40, nullptr, &context);
  CHECK(last == all && all == 171.0 * 2 * 4);
  for (double when : {1.0, 0.3 * all, 0.99 * all}) {
    Context stopping;
    stopping.report = [&](double done, double) {
      if (done >= when) stopping.cancel();
    };
    bool cancelled = false;
    try {
      on_device(c, 0, 40, nullptr, &stopping);
    } catch (const Cancelled&) {
      cancelled = true;
    }
    CHECK(cancelled && shim::memory_in_use() == 0 && cuda::device_bytes() == 0);
  }
}

TEST(a_device_that_fails_at_any_moment_is_an_error_and_frees_everything) {
  const Case c = make_case("bert", Dtype::kF32, family("linear", {0.5}), {3, 7});
  size_t failed = 0;
  for (int calls = 0; calls < 5000; calls += 1 + calls / 8) {
    shim::machine().calls_until_failure = calls;
    bool ended = false;
    try {
      on_device(c, 0, 16384);
      ended = true;
    } catch (const Error& error) {
      CHECK(error.code == "CUDA_KERNEL_FAILED" && error.kind == Kind::kResource && !error.hint.empty());
      failed++;
    }
    shim::machine().calls_until_failure = -1;
    CHECK(shim::memory_in_use() == 0);
    if (ended) break;
  }
  CHECK(failed > 20);
}

TEST(what_cannot_be_used_says_why) {
  const auto code = [](int index) -> std::string {
    try {
      cuda::Backend::open(index, Precision::kF32);
    } catch (const Error& error) {
      CHECK(error.kind == Kind::kResource && !error.hint.empty());
      return error.code;
    }
    return "";
  };
  const shim::Machine whole = shim::machine();
  CHECK(code(0).empty() && code(1) == "CUDA_NO_DEVICE" && code(-1) == "CUDA_NO_DEVICE");
  shim::machine().driver = 0;
  shim::machine().counting = cudaErrorInsufficientDriver;
  CHECK(code(0) == "CUDA_NO_DEVICE" && !cuda_info().available && cuda_info().compiled);
  shim::machine().driver = 11040;
  CHECK(code(0) == "CUDA_DRIVER_TOO_OLD");
  shim::machine() = whole;
  shim::hide_cublas(true);
  CHECK(code(0) == "CUBLAS_MISSING");
  shim::hide_cublas(false);
  for (const auto& [failure, name] :
       std::map<cudaError_t, std::string>{{cudaErrorNoKernelImageForDevice, "CUDA_ARCH"},
                                          {cudaErrorMemoryAllocation, "CUDA_OUT_OF_MEMORY"},
                                          {cudaErrorDevicesUnavailable, "CUDA_DEVICE_LOST"},
                                          {cudaErrorIllegalAddress, "CUDA_KERNEL_FAILED"},
                                          {cudaErrorInvalidValue, "CUDA_FAILED"}}) {
    shim::machine().failure = failure;
    shim::machine().calls_until_failure = 1;
    CHECK(code(0) == name);
    shim::machine() = whole;
  }
}

TEST_MAIN
