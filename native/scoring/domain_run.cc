// The gradients themselves, by reverse mode: some coordinates are kept.
#include "scoring/domains.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "scoring/device_domains.h"
#include "scoring/reverse.h"

namespace warp {
namespace {

constexpr size_t kMostTokens = 4096;  // of one batch, where one text is not longer
constexpr size_t kDepth = 512;        // rows of one product
constexpr size_t kRange = 96;         // sampled outputs of one task

}  // namespace

class DomainRun : public ReverseSink {
 public:
  DomainRun(const DomainJob& job, DomainGradients& out, Context& context)
      : job_(job), program_(job.program), backward_(cpu_backward_ops()), out_(out), context_(context), sample_(job) {}

  void run() {
    Threads threads(job_.threads);
    const size_t size = sample_.size, blocks = job_.domains * job_.blocks;
    out_.domains_ = job_.domains;
    out_.blocks_ = job_.blocks;
    out_.groups_ = sample_.sampled.size();
    out_.gradient_ = Buffer<float>(blocks * size);
    std::fill(out_.gradient_.begin(), out_.gradient_.end(), 0.0f);
    out_.square_ = Buffer<float>(job_.domains * size);
    std::fill(out_.square_.begin(), out_.square_.end(), 0.0f);
    out_.texts_.assign(blocks, 0);
    out_.loss_.assign(blocks, 0);
    out_.segments_ = sample_.sampler.segments();
    out_.delta_.resize(size);
    for (size_t b = 0; b < sample_.sampled.size(); b++)
      sample_.sampler.displacement(domain_block(program_, b).weights, sample_.sampled[b], out_.delta_.data());
    if (job_.device.indices.empty()) {
      on_cpu(threads);
    } else {
      DeviceDomains device(job_, sample_, kMostTokens, context_);
      go_through([&](const uint32_t* chosen, size_t count) { return device.add(block_, chosen, count); });
      device.download(out_.gradient_.data(), out_.square_.data());
    }
    for (size_t block = 0; block < blocks; block++) {
      const float scale = float(1 / std::max(1.0, out_.texts_[block]));
      for (size_t i = 0; i < size; i++) out_.gradient_[block * size + i] *= scale;
    }
    for (size_t domain = 0; domain < job_.domains; domain++) mean_squares(domain);
  }

  // The sampled coordinates of a block's gradients, added to those of its texts' block.
  void take(const ReverseBlock& r, Threads& threads) override {
    const Sampled& sampled = sample_.sampled[r.number];
    float* gradient = out_.gradient_.data() + block_ * sample_.size;
    float* squares = out_.square_.data() + block_ / job_.blocks * sample_.size;
    const BlockWeights& weights = r.graph.block().weights;
    size_t at = 0;
    for (size_t v = 0; v < weights.vectors.size(); at += weights.vectors[v].size, v++)
      for (size_t j = 0; sampled.vectors[v].first && j < weights.vectors[v].size; j++) {
        double sum = 0;
        for (size_t tile = 0; tile < r.tiles; tile++) sum += r.sums[tile * r.graph.sums() + at + j];
        gradient[sampled.vectors[v].second + j] += float(sum);
      }
    struct Task {
      size_t linear, first, count;
    };
    std::vector<Task> tasks;
    for (size_t i = 0; i < weights.linears.size(); i++)
      for (size_t first = 0; first < sampled.linears[i].outputs.size(); first += kRange)
        tasks.push_back({i, first, std::min(kRange, sampled.linears[i].outputs.size() - first)});
    threads.parallel(tasks.size(), [&](size_t t, int) {
      const Task& task = tasks[t];
      const Sampled::Linear& s = sampled.linears[task.linear];
      const Factor f = r.factor(task.linear);
      const size_t inputs = weights.linears[task.linear].inputs;
      float* const sum = gradient + s.at + task.first * inputs;
      float* const square = squares + s.at + task.first * inputs;
      Buffer<float> picked(kDepth * kRange), own(task.count * inputs);
      Buffer<float> scratch(backward_.outer_scratch(kDepth, kRange));
      for (size_t top = 0, end = 0; top < f.rows; top = end) {
        // rows of one text
        while (end < f.rows && r.text_of(f, uint32_t(end)) == r.text_of(f, uint32_t(top))) end++;
        std::fill(own.begin(), own.end(), 0.0f);
        for (; top < end; top += kDepth) {
          const size_t depth = std::min(kDepth, end - top);
          for (size_t row = 0; row < depth; row++)
            for (size_t j = 0; j < task.count; j++)
              picked[row * task.count + j] = f.dy[(top + row) * f.lddy + s.outputs[task.first + j]];
          backward_.outer(depth, task.count, inputs, picked.data(), task.count, f.x + top * f.ldx, f.ldx, own.data(),
                          inputs, scratch.data());
        }
        for (size_t i = 0; i < own.size(); i++) {
          sum[i] += own[i];
          square[i] += own[i] * own[i];
        }
      }
    });
    for (size_t i = 0; i < weights.linears.size(); i++)
      for (size_t n = 0; n < sampled.linears[i].biases.size(); n++) {
        const auto [first, count] = sampled.linears[i].biases[n];
        const Factor f = r.factor(i);
        std::vector<double> total(count);
        backward_.add_rows(f.rows, count, f.dy + first, f.lddy, total.data());
        for (size_t j = 0; j < count; j++) gradient[sampled.linears[i].bias_at[n] + j] += float(total[j]);
      }
  }

 private:
  void on_cpu(Threads& threads) {
    ReversePass pass({program_, *job_.path, job_.point, sample_.lowest}, longest_text(job_.texts), threads, context_);
    const TrainingTexts texts = reverse_texts(job_.texts, job_.label);
    go_through([&](const uint32_t* chosen, size_t count) {
      return pass.run(make_batch(program_, texts, chosen, count, 0), *this);
    });
  }

  // batch(chosen, count): their gradients, added to those of block_; their summed loss.
  template <class Work>
  void go_through(Work batch) {
    const std::vector<uint32_t>& offsets = job_.texts.offsets;
    for (block_ = 0; block_ < job_.domains * job_.blocks; block_++) {
      std::vector<uint32_t> chosen;
      for (uint32_t t = 0; t < job_.block.size(); t++)
        if (job_.block[t] == block_) chosen.push_back(t);
      out_.texts_[block_] = double(chosen.size());
      for (size_t first = 0, end = 0; first < chosen.size(); first = end) {
        size_t tokens = 0;
        while (end < chosen.size() && (end == first || tokens < kMostTokens)) {
          tokens += offsets[chosen[end] + 1] - offsets[chosen[end]];
          end++;
        }
        out_.loss_[block_] += batch(chosen.data() + first, end - first);
        context_.progress(double(done_ += end - first), double(job_.texts.texts()));
      }
      out_.loss_[block_] /= std::max(1.0, out_.texts_[block_]);
      if (!std::isfinite(out_.loss_[block_])) throw loss_not_finite(chosen.empty() ? 0 : chosen[0]);
    }
  }

  void mean_squares(size_t domain) {
    double texts = 0;
    for (size_t b = 0; b < job_.blocks; b++) texts += out_.texts_[domain * job_.blocks + b];
    float* square = out_.square_.data() + domain * sample_.size;
    for (size_t i = 0; i < sample_.size; i++) square[i] *= float(1 / std::max(1.0, texts));
  }

  const DomainJob& job_;
  const Program& program_;
  const BackwardOps& backward_;
  DomainGradients& out_;
  Context& context_;
  const DomainSample sample_;
  size_t done_ = 0;
  uint32_t block_ = 0;
};

// Of the largest batch: a block's texts, cut where there are enough.
static size_t most_tokens(const DomainJob& job) {
  std::vector<size_t> tokens(job.domains * job.blocks);
  for (size_t t = 0; t < job.block.size(); t++) tokens[job.block[t]] += job.texts.offsets[t + 1] - job.texts.offsets[t];
  const size_t most = tokens.empty() ? 0 : *std::max_element(tokens.begin(), tokens.end());
  return std::min(most, kMostTokens + longest_text(job.texts));
}

static uint64_t host_bytes(const DomainJob& job, const DomainSample& sample) {
  const uint64_t kept = (job.domains * (job.blocks + 1) + 1) * sample.size * sizeof(float);
  if (!job.device.indices.empty()) return kept + DeviceDomains::host_bytes(job);
  return kept + ReversePass::planned_bytes(job.program, *job.path, most_tokens(job), job.threads);
}

static uint64_t checked_bytes(const DomainJob& job, const DomainSample& sample) {
  const uint64_t bytes = host_bytes(job, sample);
  if (bytes > job.memory) throw memory_budget(bytes, job.memory);
  return bytes;
}

std::shared_ptr<DomainGradients> DomainGradients::compute(const DomainJob& job, Context& context) {
  checked_bytes(job, DomainSample(job));
  auto out = std::make_shared<DomainGradients>();
  DomainRun(job, *out, context).run();
  return out;
}

DomainGradients::Planned DomainGradients::planned(const DomainJob& job) {
  const DomainSample sample(job);
  const bool on_device = !job.device.indices.empty();
  return {checked_bytes(job, sample), on_device ? DeviceDomains::device_bytes(job, sample, kMostTokens) : 0};
}

}  // namespace warp
