// npm run bench:gpu, first part: kernels and forward passes on the first GPU, each as a share of a roof measured in the
// same process. One JSON record a line on stdout. Models have random weights in files of their own, read once before.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "ops/cuda/device.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/runtime.h"
#include "scoring/device_score.h"
#include "small_models.h"

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

static void bench_merges() {
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

static ModelSpec full_size(const std::string& kind) {
  ModelSpec spec = small::spec(kind, 768, 12, 12);
  spec.intermediate = 3072;
  spec.vocabulary = kind == "bert" ? 30522 : 50257;
  spec.positions = kind == "bert" ? 512 : 1024;
  spec.labels = 4;
  return spec;
}

static void bench_forward(const std::string& kind, Precision precision, const char* name, double roof) {
  const auto model = make_model(full_size(kind));
  PathOptions options;
  for (int k = 0; k < 15; k++) options.lambdas.push_back(0.05 + 0.9 * k / 14);
  const Path path(small::weights(*model, Dtype::kF32, 1, 0), small::weights(*model, Dtype::kF32, 2, 0.05), options);
  std::vector<uint32_t> lengths;
  std::vector<int32_t> label, domain;
  for (uint32_t i = 0; i < 5000; i++) {
    lengths.push_back(20 + i * 37 % 61);  // 50 tokens on average
    label.push_back(int32_t(i % 4));
    domain.push_back(int32_t(i % 4));
  }
  const PackedTexts texts = small::texts(model->spec, lengths);
  const DeviceJob job{*model, texts, {model->spec, path, label, domain, 4, Scope::kHead, false}, false};
  std::vector<double> rounds;
  for (int round = 0; round < 4; round++) {
    Context context;
    const auto begin = std::chrono::steady_clock::now();
    score_on_devices({{0}, precision, 0}, job, context);
    if (round > 0) rounds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(rounds.begin(), rounds.end());
  const double flops = plan_on_devices({{0}, precision, 0}, job).forward.flops,
               rate = flops / rounds[rounds.size() / 2];
  std::printf(
      "{\"case\": \"footprint\", \"model\": \"%s\", \"precision\": \"%s\", \"points\": 15, \"probes\": 5000, "
      "\"tokens\": %u, \"seconds\": %.5g, \"flopsPerSecond\": %.6g, "
      "\"product\": %.6g, \"ofProduct\": %.4f, \"goal\": 0.65}\n",
      kind == "bert" ? "BERT-base size" : "GPT-2 size", name, texts.offsets.back(), rounds[rounds.size() / 2], rate,
      roof, rate / roof);

  // how much of the uploads the computation hides, by the device's clock; once before, not counted
  for (bool counted : {false, true}) {
    const auto backend = cuda::Backend::open(0, precision, true);
    DeviceForward forward(*model, *backend, path, texts, 0, 0);
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

int main() {
  try {
    require_cuda(0);
    bench_merges();
    for (const auto& [precision, name] :
         {std::pair{Precision::kF32, "f32"}, {Precision::kTF32, "tf32"}, {Precision::kBF16, "bf16"}}) {
      const double roof = product_rate(precision);
      for (const char* kind : {"bert", "gpt2"}) bench_forward(kind, precision, name, roof);
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n%s\n", error.code.c_str(), error.message.c_str(), error.hint.c_str());
    return error.kind == Kind::kResource ? 4 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
