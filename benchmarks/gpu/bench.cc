// npm run bench:gpu, first part: kernels and forward passes on the first GPU, each as a share of a roof measured in the
// same process. One JSON record a line on stdout. Models have random weights in files of their own, read once before.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "ops/cuda/device.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/runtime.h"
#include "scoring/device_score.h"
#include "scoring/domains.h"
#include "small_language.h"

using namespace warp;

static const cuda::Stream& stream() {
  static const cuda::Stream one;
  return one;
}

// Seconds of one of `body`, the median of 9 rounds of `repeats` after one that is not counted.
template <class Body>
static double seconds(int repeats, Body body) {
  const cuda::Event begin(true), end(true);
  std::vector<double> rounds;
  for (int round = 0; round < 10; round++) {
    begin.record(stream());
    for (int i = 0; i < repeats; i++) body();
    end.record(stream());
    end.wait();
    float milliseconds = 0;
    cuda::check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    if (round > 0) rounds.push_back(milliseconds / 1e3 / repeats);
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[rounds.size() / 2];
}

// Bytes read and written a second by the device's own copy; the merge kernels as shares of it.
static double bench_merges() {
  constexpr size_t kBytes = size_t(1) << 30;  // beyond every cache
  const cuda::Array<char> l(kBytes), r(kBytes), out(kBytes);
  const cuda::Array<uint8_t> keep(kBytes / 2);
  for (char* array : {l.data(), r.data(), reinterpret_cast<char*>(keep.data())})
    cuda::check(cudaMemsetAsync(array, 0, kBytes / 2, stream()), "cudaMemset");
  const double copy =
      2.0 * kBytes / seconds(10, [&] {
        cuda::check(cudaMemcpyAsync(out.data(), l.data(), kBytes, cudaMemcpyDeviceToDevice, stream()), "copy");
      });
  std::printf("{\"case\": \"copy\", \"bytesPerSecond\": %.6g}\n", copy);
  const std::pair<cuda::Merge::Family, const char*> families[] = {{cuda::Merge::kLerp, "lerp"},
                                                                  {cuda::Merge::kBlend, "blend"},
                                                                  {cuda::Merge::kMasked, "masked"},
                                                                  {cuda::Merge::kClip, "clip"}};
  for (const auto& [family, name] : families)
    for (Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBF16}) {
      const size_t count = kBytes / dtype_size(dtype);
      const cuda::Merge merge{family, {l.data(), dtype}, {r.data(), dtype}, 0.3, 0.7, keep.data()};
      const double bytes = 3.0 * kBytes + (family == cuda::Merge::kMasked ? double(count) : 0);
      const double rate = bytes / seconds(10, [&] { cuda::merge(merge, count, out.data(), dtype, stream()); });
      std::printf(
          "{\"case\": \"merge\", \"family\": \"%s\", \"dtype\": \"%s\", \"bytesPerSecond\": %.6g, "
          "\"ofCopy\": %.4f, \"goal\": 0.9}\n",
          name, dtype_name(dtype), rate, rate / copy);
    }
  return copy;
}

// Operations by row as shares of the copy rate, what they must read and write counted once.
static void bench_rows(double copy) {
  constexpr size_t kRows = 8192, kSize = 4096, kVocabulary = 49152, kLossRows = 2048;
  const cuda::Array<float> a(kLossRows * kVocabulary), b(kLossRows * kVocabulary), gain(kSize), angles(kRows * 64);
  const cuda::Array<uint32_t> index(kRows);
  const cuda::Array<double> sums(kRows);
  for (float* array : {a.data(), b.data()})
    cuda::check(cudaMemsetAsync(array, 0, kLossRows * kVocabulary * sizeof(float), stream()), "cudaMemset");
  cuda::check(cudaMemsetAsync(gain.data(), 0, kSize * sizeof(float), stream()), "cudaMemset");
  cuda::check(cudaMemsetAsync(angles.data(), 0, kRows * 64 * sizeof(float), stream()), "cudaMemset");
  cuda::check(cudaMemsetAsync(index.data(), 0, kRows * sizeof(uint32_t), stream()), "cudaMemset");
  const Matrix x{a.data(), kSize}, y{b.data(), kSize};
  const NormCall norm{kRows, kSize, 1, false, 1e-5f, 0, gain.data(), nullptr};
  const RopeCall rope{kRows, kSize / 128, 128, 128, angles.data(), angles.data(), index.data(), false};
  const double bytes = double(kRows) * kSize * sizeof(float), logits = double(kLossRows) * kVocabulary * sizeof(float);
  const auto report = [&](const char* name, double moved, double time) {
    std::printf("{\"case\": \"%s\", \"bytesPerSecond\": %.6g, \"ofCopy\": %.4f, \"goal\": 0.8}\n", name, moved / time,
                moved / time / copy);
  };
  report("norm", 2 * bytes, seconds(10, [&] { cuda::norm(norm, x, {nullptr, 0}, y, stream()); }));
  report("norm tangent", 3 * bytes, seconds(10, [&] {
           cuda::norm_tangent(norm, {a.data(), kSize, b.data(), kSize, nullptr, nullptr}, y, stream());
         }));
  report("rope", 2 * bytes, seconds(10, [&] { cuda::rope(rope, x, y, stream()); }));
  report("silu", 2 * bytes, seconds(10, [&] { cuda::activate(Activation::kSilu, kRows, kSize, x, y, stream()); }));
  report("multiply", 3 * bytes, seconds(10, [&] { cuda::multiply(kRows, kSize, x, y, y, stream()); }));
  const Matrix z{a.data(), kVocabulary}, e{b.data(), kVocabulary};
  report("cross entropy", 2 * logits, seconds(10, [&] {
           cuda::cross_entropy(kLossRows, kVocabulary, z, index.data(), sums.data(), 1, e, stream());
         }));
  report("language loss", logits, seconds(10, [&] {
           cuda::language_loss(kLossRows, kVocabulary, z, {nullptr, 0}, index.data(), sums.data(), nullptr, stream());
         }));
  report("language loss and slope", 2 * logits, seconds(10, [&] {
           cuda::language_loss(kLossRows, kVocabulary, z, e, index.data(), sums.data(), sums.data() + kLossRows,
                               stream());
         }));
  report("row dots", 2 * logits,
         seconds(10, [&] { cuda::row_dots(kLossRows, kVocabulary, z, e, sums.data(), stream()); }));
}

// Causal attention of grouped heads, and its tangent as a multiple of that.
static void bench_attention(size_t length, size_t window) {
  constexpr size_t kTexts = 16, kHeads = 32, kKeyHeads = 8, kHead = 128;
  const size_t tokens = kTexts * length, width = kHeads * kHead, key_width = kKeyHeads * kHead;
  const cuda::Array<float> q(tokens * width), k(tokens * key_width), out(tokens * width);
  cuda::check(cudaMemsetAsync(q.data(), 0, q.size() * sizeof(float), stream()), "cudaMemset");
  cuda::check(cudaMemsetAsync(k.data(), 0, k.size() * sizeof(float), stream()), "cudaMemset");
  std::vector<uint32_t> from;
  for (size_t t = 0; t <= kTexts; t++) from.push_back(uint32_t(t * length));
  const cuda::Array<uint32_t> offsets(from.size());
  cuda::upload(offsets.data(), from.data(), from.size(), stream());
  stream().wait();
  AttentionCall c;
  c.texts = kTexts;
  c.offsets = offsets.data();
  c.heads = kHeads;
  c.kv_heads = kKeyHeads;
  c.head_size = kHead;
  c.causal = true;
  c.window = window;
  c.scale = 0.09f;
  c.q = q.data();
  c.k = c.v = k.data();
  c.ldq = width;
  c.ldkv = key_width;
  const double forward = seconds(4, [&] { cuda::attention(c, length, {out.data(), width}, stream()); });
  const double tangent = seconds(4, [&] {
    cuda::attention_tangent(c, {q.data(), k.data(), k.data(), width, key_width, out.data(), width}, length, stream());
  });
  double pairs = 0;
  for (size_t i = 0; i < length; i++) pairs += double(window ? std::min(i + 1, window) : i + 1);
  std::printf(
      "{\"case\": \"attention\", \"tokens\": %zu, \"window\": %zu, \"flopsPerSecond\": %.6g, "
      "\"tangentOfForward\": %.3f, \"goal\": 3}\n",
      length, window, 4.0 * double(kTexts * kHeads * kHead) * pairs / forward, tangent / forward);
}

// The rate of one large product: what cuBLAS reaches here at this precision.
static double product_rate(Precision precision) {
  constexpr size_t kSide = 8192;
  const auto backend = cuda::Backend::open(0, precision);
  backend->reserve(3 * kSide * kSide * sizeof(float), 0);
  float *x = reinterpret_cast<float*>(backend->memory()), *w = x + kSide * kSide, *y = w + kSide * kSide;
  std::vector<float> values(kSide * kSide);
  for (size_t i = 0; i < values.size(); i++) values[i] = float(int(i * 2654435761u >> 16 & 255) - 128) / 128;
  for (float* to : {x, w}) backend->upload(to, values.data(), values.size() * sizeof(float), cuda::Queue::kCompute);
  std::vector<double> rounds;
  for (int round = 0; round < 8; round++) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 4; i++)
      backend->ops().linear(kSide, kSide, kSide, x, kSide, w, nullptr, Activation::kNone, y, kSide, nullptr);
    backend->mark(0, cuda::Queue::kCompute);
    backend->wait(0);
    if (round > 1)
      rounds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 4);
  }
  std::sort(rounds.begin(), rounds.end());
  return 2.0 * kSide * kSide * kSide / rounds[rounds.size() / 2];
}

// Median seconds of three scorings after one that is not counted.
static double scoring_seconds(Precision precision, const DeviceJob& job) {
  std::vector<double> rounds;
  for (int round = 0; round < 4; round++) {
    Context context;
    const auto begin = std::chrono::steady_clock::now();
    score_on_devices({{0}, precision, 0}, job, context);
    if (round > 0) rounds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(rounds.begin(), rounds.end());
  return rounds[rounds.size() / 2];
}

static Program full_size(const std::string& kind) {
  small::Sizes sizes;
  sizes.hidden = 768;
  sizes.heads = sizes.layers = 12;
  sizes.intermediate = 3072;
  sizes.vocabulary = kind == "bert" ? 30522 : 50257;
  sizes.positions = kind == "bert" ? 512 : 1024;
  sizes.labels = 4;
  return small::program(kind, sizes);
}

static void bench_forward(const std::string& kind, Precision precision, const char* name, double roof) {
  const auto program = std::make_unique<Program>(full_size(kind));
  PathOptions options;
  for (int k = 0; k < 15; k++) options.lambdas.push_back(0.05 + 0.9 * k / 14);
  const Path path(small::weights(*program, Dtype::kF32, 1, 0), small::weights(*program, Dtype::kF32, 2, 0.05), options);
  std::vector<uint32_t> lengths;
  std::vector<int32_t> label, domain;
  for (uint32_t i = 0; i < 5000; i++) {
    lengths.push_back(20 + i * 37 % 61);  // 50 tokens on average
    label.push_back(int32_t(i % 4));
    domain.push_back(int32_t(i % 4));
  }
  const PackedTexts texts = small::texts(*program, lengths);
  const DeviceJob job{*program, texts, {*program, path, label, domain, 4, Scope::kHead, false}, false};
  const double time = scoring_seconds(precision, job),
               rate = plan_on_devices({{0}, precision, 0}, job).forward.flops / time;
  std::printf(
      "{\"case\": \"footprint\", \"model\": \"%s\", \"precision\": \"%s\", \"points\": 15, \"probes\": 5000, "
      "\"tokens\": %u, \"seconds\": %.5g, \"flopsPerSecond\": %.6g, "
      "\"product\": %.6g, \"ofProduct\": %.4f, \"goal\": 0.65}\n",
      kind == "bert" ? "BERT-base size" : "GPT-2 size", name, texts.offsets.back(), time, rate, roof, rate / roof);

  // how much of the uploads the computation hides, by the device's clock; once before, not counted
  for (bool counted : {false, true}) {
    const auto backend = cuda::Backend::open(0, precision, true);
    DeviceForward forward({*program, *backend, path, texts}, 0, 0);
    Context context;
    const auto begin = std::chrono::steady_clock::now();
    forward.run(context);
    const double all = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const cuda::Timeline t = backend->timeline();
    if (counted)
      std::printf(
          "{\"case\": \"overlap\", \"model\": \"%s\", \"precision\": \"%s\", \"seconds\": %.5g, "
          "\"uploadSeconds\": %.5g, \"stallSeconds\": %.5g, \"hidden\": %.4f}\n",
          kind == "bert" ? "BERT-base size" : "GPT-2 size", name, all, t.uploads, t.stalls,
          t.uploads > 0 ? std::max(0.0, 1 - t.stalls / t.uploads) : 1);
  }
  std::fflush(stdout);
}

struct Roof {
  Precision precision;
  const char* name;
  double rate;
};

// Mean gradients of five domains of 60 texts in these tensors, a fiftieth of each matrix.
static void bench_domains(const Program& program, const Path& path, const ScopeNames& names, const Roof& roof) {
  DomainJob job;
  job.program = program;
  job.path = std::shared_ptr<Path>(const_cast<Path*>(&path), [](Path*) {});
  std::vector<uint32_t> lengths;
  for (uint32_t i = 0; i < 300; i++) {
    lengths.push_back(20 + i * 37 % 61);
    job.block.push_back(i % 20);
  }
  job.texts = small::language_texts(program, lengths);
  job.domains = 5;
  job.blocks = 4;
  job.names = names;
  job.rate = 0.02;
  job.threads = 4;
  job.memory = uint64_t(8) << 30;
  job.device = {{0}, roof.precision, 0};
  std::vector<double> rounds;
  for (int round = 0; round < 3; round++) {
    Context context;
    const auto begin = std::chrono::steady_clock::now();
    DomainGradients::compute(job, context);
    if (round > 0) rounds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::printf(
      "{\"case\": \"domain gradients\", \"model\": \"SmolLM2-135M size\", \"precision\": \"%s\", \"scope\": "
      "\"upper\", \"texts\": 300, \"tokens\": %u, \"seconds\": %.5g, \"deviceBytes\": %.0f}\n",
      roof.name, job.texts.offsets.back(), std::min(rounds[0], rounds[1]),
      double(DomainGradients::planned(job).device_bytes));
}

// A language model's losses along a path, then with scores in its upper third of layers.
static void bench_language(const std::vector<Roof>& roofs) {
  small::Sizes sizes;
  sizes.hidden = 576;
  sizes.heads = 9;
  sizes.layers = 30;
  sizes.intermediate = 1536;
  sizes.vocabulary = 49152;
  sizes.positions = 2048;
  const Program program = small::language_program("plain", sizes);
  PathOptions options;
  options.lambdas = {0.05, 0.3, 0.5, 0.8};
  const Path path(small::weights(program, Dtype::kBF16, 1, 0), small::weights(program, Dtype::kBF16, 2, 0.05), options);
  std::vector<uint32_t> lengths;
  for (uint32_t i = 0; i < 1000; i++) lengths.push_back(20 + i * 37 % 61);  // 50 tokens on average
  const PackedTexts texts = small::language_texts(program, lengths);
  const std::vector<int32_t> label, domain(lengths.size());
  ScopeNames upper;
  for (size_t i = sizes.layers / 3 * 2; i < sizes.layers; i++)
    for (const std::string& tensor : program.layers[i].weights.names()) upper.insert(tensor);
  const HeadJob head{program, path, label, domain, 1, Scope::kHead, false, false};
  const DeviceJob losses{program, texts, head, false}, scores{program, texts, head, false, &upper};
  for (const Roof& roof : roofs) {
    const auto& [precision, name, rate] = roof;
    const double values = scoring_seconds(precision, losses), both = scoring_seconds(precision, scores);
    std::printf(
        "{\"case\": \"language\", \"model\": \"SmolLM2-135M size\", \"precision\": \"%s\", \"points\": 4, "
        "\"probes\": 1000, \"tokens\": %u, \"seconds\": %.5g, \"withScoresOfUpper\": %.5g, \"ofLosses\": %.3f, "
        "\"deviceBytes\": %.0f, \"product\": %.6g}\n",
        name, texts.offsets.back(), values, both, both / values,
        double(plan_on_devices({{0}, precision, 0}, scores).forward.peak_bytes), rate);
    bench_domains(program, path, upper, roof);
    std::fflush(stdout);
  }
}

int main() {
  try {
    require_cuda(0);
    bench_rows(bench_merges());
    for (size_t length : {128, 512, 2048}) bench_attention(length, 0);
    bench_attention(2048, 256);
    std::vector<Roof> roofs = {
        {Precision::kF32, "f32", 0}, {Precision::kTF32, "tf32", 0}, {Precision::kBF16, "bf16", 0}};
    for (Roof& roof : roofs) {
      roof.rate = product_rate(roof.precision);
      for (const char* kind : {"bert", "gpt2"}) bench_forward(kind, roof.precision, roof.name, roof.rate);
    }
    bench_language(roofs);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n%s\n", error.code.c_str(), error.message.c_str(), error.hint.c_str());
    return error.kind == Kind::kResource ? 4 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
