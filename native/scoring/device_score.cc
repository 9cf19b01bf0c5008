#include "scoring/device_score.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <thread>

namespace warp {
namespace {

// The texts [begin, end) of a job, as one of their own.
struct Share {
  size_t begin, end;
  PackedTexts texts;
  std::vector<int32_t> label, domain;

  Share(const DeviceJob& job, size_t begin, size_t end)
      : begin(begin), end(end), label(job.label.begin() + begin, job.label.begin() + end),
        domain(job.domain.begin() + begin, job.domain.begin() + end) {
    const uint32_t first = job.texts.offsets[begin], last = job.texts.offsets[end];
    texts.ids.assign(job.texts.ids.begin() + first, job.texts.ids.begin() + last);
    if (!job.texts.types.empty()) texts.types.assign(job.texts.types.begin() + first, job.texts.types.begin() + last);
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

// One device with its share, planned.
struct Worker {
  const DeviceJob& job;
  const Share& share;
  const uint64_t room;
  const std::unique_ptr<cuda::Backend> backend;
  DeviceForward forward;

  Worker(const DeviceChoice& choice, int index, const DeviceJob& job, const Share& share)
      : job(job), share(share),
        room(head_room(job.model.spec, job.scope, share.texts.texts(), size_t(job.path.points()), share.domain, job.domains)),
        backend(cuda::Backend::open(index, choice.precision)),
        forward(job.model, *backend, job.path, share.texts, choice.memory, room) {}

  DeviceScored run(Context& context) {
    forward.run(context);
    const Head head(job.model.spec, job.path, cpu_ops());
    DeviceScored out;
    out.scores = score_head_on(*backend, head, job.path, forward.features(), share.label, share.domain, job.domains,
                               job.scope, forward.room(), room, context);
    if (job.features) out.features = forward.download();
    return out;
  }
};

// Rows of `part`, one per text of the share, into those of the whole.
template <class T>
void place(const std::vector<T>& part, const Share& share, std::vector<T>& whole, size_t texts) {
  const size_t width = part.size() / (share.end - share.begin);
  whole.resize(texts * width);
  std::copy(part.begin(), part.end(), whole.begin() + share.begin * width);
}

}  // namespace

DevicePlan plan_on_devices(const DeviceChoice& choice, const DeviceJob& job) {
  DevicePlan all;
  const std::vector<Share> shares = share_out(job, choice.indices.size());
  for (size_t i = 0; i < shares.size(); i++) {
    const Worker worker(choice, choice.indices[i], job, shares[i]);
    const DevicePlan& plan = worker.forward.plan();
    all.staging_bytes += plan.staging_bytes;
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
  const size_t texts = job.texts.texts(), points = size_t(job.path.points()) + 2, h = job.model.spec.hidden;
  std::vector<DeviceScored> parts(shares.size());
  std::mutex mutex;
  std::vector<double> done(shares.size());
  const double total = double(job.texts.offsets.back()) * double(job.model.spec.layers) * double(points);
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
      parts[i] = Worker(choice, choice.indices[i], job, shares[i]).run(own);
    } catch (...) {
      together.cancel();
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();  // the first; what the others throw follows from it
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < shares.size(); i++) threads.emplace_back(work, i);
  if (!shares.empty()) work(0);
  for (std::thread& thread : threads) thread.join();
  context.check();
  if (failure) std::rethrow_exception(failure);

  if (parts.size() == 1) return std::move(parts[0]);
  DeviceScored all;
  if (job.features) all.features = Buffer<float>(points * texts * h);
  for (size_t i = 0; i < parts.size(); i++) {
    const Share& share = shares[i];
    place(parts[i].scores.loss, share, all.scores.loss, texts);
    place(parts[i].scores.alignment, share, all.scores.alignment, texts);
    place(parts[i].scores.logits, share, all.scores.logits, texts);
    const size_t rows = share.end - share.begin;
    for (size_t p = 0; job.features && p < points; p++)
      std::copy_n(parts[i].features.data() + p * rows * h, rows * h, all.features.data() + (p * texts + share.begin) * h);
  }
  return all;
}

}  // namespace warp
