#include "scoring/device_score.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <thread>

namespace warp {
namespace {

// The texts [begin, end) of a job, as their own.
struct Share {
  size_t begin, end;
  PackedTexts texts;
  std::vector<int32_t> label;

  Share(const DeviceJob& job, size_t begin, size_t end) : begin(begin), end(end) {
    const uint32_t first = job.texts.offsets[begin], last = job.texts.offsets[end];
    texts.ids.assign(job.texts.ids.begin() + first, job.texts.ids.begin() + last);
    if (!job.texts.types.empty()) texts.types.assign(job.texts.types.begin() + first, job.texts.types.begin() + last);
    if (job.program.language) texts.targets.assign(job.texts.targets.begin() + first, job.texts.targets.begin() + last);
    else label.assign(job.head.label.begin() + long(begin), job.head.label.begin() + long(end));
    for (size_t t = begin; t <= end; t++) texts.offsets.push_back(job.texts.offsets[t] - first);
  }
};

// Neighbouring texts with about as many tokens each; no more shares than texts.
std::vector<Share> share_out(const DeviceJob& job, size_t devices) {
  std::vector<Share> shares;
  const size_t texts = job.texts.texts(), tokens = job.texts.offsets.back();
  size_t begin = 0;
  for (size_t i = 1; i <= devices && begin < texts; i++) {
    size_t end = begin + 1;
    while (end < texts && (i == devices || job.texts.offsets[end] < tokens * i / devices)) end++;
    shares.emplace_back(job, begin, end);
    begin = end;
  }
  return shares;
}

// Floats of all head inputs.
size_t feature_count(const DeviceJob& job) {
  return (size_t(job.head.path.points()) + 2) * job.texts.texts() * job.program.features();
}

// What the first of `devices` holds once the forward passes are done, beside its own head inputs.
uint64_t room_after(const DeviceJob& job, size_t devices) {
  if (job.program.language) return 0;
  return head_room(job.head) + (devices > 1 ? device_aligned(feature_count(job) * sizeof(float)) : 0);
}

// One device with its share, planned.
struct Worker {
  const DeviceJob& job;
  const Share& share;
  const std::unique_ptr<cuda::Backend> backend;
  DeviceForward forward;

  Worker(const DeviceChoice& choice, size_t number, const DeviceJob& job, const std::vector<Share>& shares)
      : job(job), share(shares[number]), backend(cuda::Backend::open(choice.indices[number], choice.precision)),
        forward({job.program, *backend, job.head.path, share.texts, job.names, &share.label}, choice.memory,
                number == 0 ? room_after(job, shares.size()) : 0) {}
};

// What the forward passes themselves gave, text by text.
DeviceScored collect(const DeviceJob& job, const std::vector<std::unique_ptr<Worker>>& workers) {
  DeviceScored out;
  std::vector<double> slope;
  const auto append = [](std::vector<double>& to, const std::vector<double>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  for (const auto& worker : workers) {
    const DeviceResults& results = worker->forward.results();
    append(out.scores.loss, results.loss);
    append(out.token_loss, results.token_loss);
    append(slope, results.slope);
  }
  // every device has measured the same tensors
  if (job.names) {
    const PassScope scope{*job.names, workers[0]->forward.results().norm2};
    out.scores.alignment = scores_along(slope, scope, job.head.path);
  }
  return out;
}

// All devices' head inputs in the memory of the first.
float* gather(const DeviceJob& job, const std::vector<std::unique_ptr<Worker>>& workers, DeviceRoom& room) {
  const size_t texts = job.texts.texts(), h = job.program.features();
  float* all = room.take<float>(feature_count(job));
  workers[0]->backend->bind();
  for (const auto& worker : workers) {
    const Share& share = worker->share;
    const size_t rows = share.end - share.begin;
    for (size_t p = 0; p < size_t(job.head.path.points()) + 2; p++)
      workers[0]->backend->receive(all + (p * texts + share.begin) * h, *worker->backend,
                                   worker->forward.features() + p * rows * h, rows * h * sizeof(float));
  }
  return all;
}

}  // namespace

DevicePlan plan_on_devices(const DeviceChoice& choice, const DeviceJob& job) {
  DevicePlan all;
  const std::vector<Share> shares = share_out(job, choice.indices.size());
  for (size_t i = 0; i < shares.size(); i++) {
    const Worker worker(choice, i, job, shares);
    const DevicePlan& plan = worker.forward.plan();
    all.staging_bytes += plan.staging_bytes;
    all.host_bytes += plan.host_bytes;
    all.forward.peak_bytes = std::max(all.forward.peak_bytes, plan.forward.peak_bytes);
    all.forward.smallest_bytes = std::max(all.forward.smallest_bytes, plan.forward.smallest_bytes);
    all.forward.chunks += plan.forward.chunks;
    all.forward.tiles += plan.forward.tiles;
    all.forward.tokens += plan.forward.tokens;
    all.forward.flops += plan.forward.flops;
  }
  return all;
}

DeviceScored score_on_devices(const DeviceChoice& choice, const DeviceJob& job, Context& context) {
  const std::vector<Share> shares = share_out(job, choice.indices.size());
  if (shares.empty()) return {};
  const size_t points = size_t(job.head.path.points()) + 2;
  std::vector<std::unique_ptr<Worker>> workers(shares.size());
  std::mutex mutex;
  std::vector<double> done(shares.size());
  const double total = double(job.texts.offsets.back()) * double(job.program.layers.size()) * double(points);
  std::exception_ptr failure;
  Context together;  // cancelled when one of them fails
  together.parent = &context;
  const auto work = [&](size_t i) {
    try {
      Context own;
      own.parent = &together;
      own.report = [&, i](double here, double) {
        const std::lock_guard<std::mutex> lock(mutex);
        done[i] = here;
        double sum = 0;
        for (double part : done) sum += part;
        if (context.report) context.report(sum, total);
      };
      workers[i] = std::make_unique<Worker>(choice, i, job, shares);
      workers[i]->forward.run(own);
    } catch (...) {
      together.cancel();
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();  // the first; what the others throw follows from it
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < shares.size(); i++) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
  context.check();
  if (failure) std::rethrow_exception(failure);

  DeviceScored out = collect(job, workers);
  if (job.program.language) return out;
  std::vector<double> alignment = std::move(out.scores.alignment);
  Worker& first = *workers[0];
  DeviceRoom room = first.forward.room();
  const float* features = workers.size() == 1 ? first.forward.features() : gather(job, workers, room);
  HeadResult head = score_head_on(*first.backend, job.head, features, room, context);
  out.scores = std::move(head.scores);
  if (job.names) out.scores.alignment = std::move(alignment);
  out.gradients = std::move(head.gradients);
  if (job.features) {
    out.features = Buffer<float>(feature_count(job));
    first.backend->download(out.features.data(), features, out.features.size() * sizeof(float), cuda::Queue::kCompute);
  }
  return out;
}

}  // namespace warp
