// The gradients themselves, by reverse mode: some coordinates are kept.
#include "scoring/domains.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "scoring/domain_sample.h"
#include "scoring/reverse.h"

namespace warp {
namespace {

constexpr size_t kMostTokens = 4096;  // of one batch, where one text is not longer
constexpr size_t kDepth = 512;        // rows of one product
constexpr size_t kRange = 96;         // sampled outputs of one task

}  // namespace

class DomainRun : public ReverseSink {
 public:
  DomainRun(const DomainJob& job, DomainGradients& out, Context* context)
      : job_(job), program_(job.program), backward_(cpu_backward_ops()), out_(out), context_(context), sampler_(job) {
    const size_t layers = program_.layers.size();
    out_.domains_ = job.domains;
    out_.blocks_ = job.blocks;
    out_.groups_ = layers + 1;
    for (size_t i = 0; i < layers; i++) {
      const size_t before = sampler_.size();
      sampled_.push_back(sampler_.sample(program_.layers[i], i));
      if (sampler_.size() > before) lowest_ = std::min(lowest_, i);
    }
    sampled_.push_back(sampler_.sample(program_.language ? program_.before_head : program_.head, layers));
    size_ = sampler_.size();
    lowest_ = std::min(lowest_, layers);
  }

  size_t coordinates() const { return size_; }

  void run() {
    Threads threads(job_.threads);
    ReversePass pass({program_, *job_.path, job_.point, lowest_}, longest_text(job_.texts), threads, *context_);
    out_.gradient_ = Buffer<float>(job_.domains * job_.blocks * size_);
    std::fill(out_.gradient_.begin(), out_.gradient_.end(), 0.0f);
    out_.square_ = Buffer<float>(job_.domains * size_);
    std::fill(out_.square_.begin(), out_.square_.end(), 0.0f);
    out_.texts_.assign(job_.domains * job_.blocks, 0);
    out_.loss_.assign(job_.domains * job_.blocks, 0);
    out_.segments_ = sampler_.segments();
    out_.delta_.resize(size_);
    for (size_t b = 0; b < sampled_.size(); b++) {
      sampler_.displacement(pass.block(b).block().weights, sampled_[b], out_.delta_.data());
    }
    TrainingTexts texts;
    texts.ids = job_.texts.ids;
    texts.offsets = job_.texts.offsets;
    texts.types = job_.texts.types;
    texts.label = job_.label;
    texts.targets = job_.texts.targets;
    for (uint32_t block = 0; block < job_.domains * job_.blocks; block++) {
      std::vector<uint32_t> chosen;
      for (uint32_t t = 0; t < job_.block.size(); t++)
        if (job_.block[t] == block) chosen.push_back(t);
      out_.texts_[block] = double(chosen.size());
      for (size_t first = 0, end = 0; first < chosen.size(); first = end) {
        size_t tokens = 0;
        while (end < chosen.size() && (end == first || tokens < kMostTokens)) {
          tokens += texts.offsets[chosen[end] + 1] - texts.offsets[chosen[end]];
          end++;
        }
        block_ = block;
        out_.loss_[block] += pass.run(make_batch(program_, texts, chosen.data() + first, end - first, 0), *this);
        context_->progress(double(done_ += end - first), double(texts.texts()));
      }
      const float scale = float(1 / std::max(1.0, out_.texts_[block]));
      float* g = out_.gradient_.data() + block * size_;
      for (size_t i = 0; i < size_; i++) g[i] *= scale;
      out_.loss_[block] /= std::max(1.0, out_.texts_[block]);
      if (block % job_.blocks == job_.blocks - 1) mean_squares(block / job_.blocks);
      if (!std::isfinite(out_.loss_[block])) throw loss_not_finite(chosen.empty() ? 0 : chosen[0]);
    }
  }

  // The sampled coordinates of a block's gradients, added to those of its texts' block.
  void take(const ReverseBlock& r, Threads& threads) override {
    const Sampled& sampled = sampled_[r.number];
    float* gradient = out_.gradient_.data() + block_ * size_;
    float* squares = out_.square_.data() + block_ / job_.blocks * size_;
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
  void mean_squares(size_t domain) {
    double texts = 0;
    for (size_t b = 0; b < job_.blocks; b++) texts += out_.texts_[domain * job_.blocks + b];
    for (size_t i = 0; i < size_; i++) out_.square_[domain * size_ + i] *= float(1 / std::max(1.0, texts));
  }

  const DomainJob& job_;
  const Program& program_;
  const BackwardOps& backward_;
  DomainGradients& out_;
  Context* const context_;
  Sampler sampler_;
  std::vector<Sampled> sampled_;
  size_t size_ = 0, lowest_ = size_t(-1), done_ = 0;
  uint32_t block_ = 0;
};

std::shared_ptr<DomainGradients> DomainGradients::compute(const DomainJob& job, Context& context) {
  const uint64_t planned = planned_bytes(job);
  if (planned > job.memory) throw memory_budget(planned, job.memory);
  auto out = std::make_shared<DomainGradients>();
  DomainRun(job, *out, &context).run();
  return out;
}

uint64_t DomainGradients::planned_bytes(const DomainJob& job) {
  DomainGradients none;
  const DomainRun run(job, none, nullptr);
  const size_t tokens = std::min<size_t>(job.texts.ids.size(), kMostTokens + longest_text(job.texts));
  return ReversePass::planned_bytes(job.program, *job.path, tokens, job.threads) +
         (job.domains * (job.blocks + 1) + 1) * run.coordinates() * sizeof(float);
}

}  // namespace warp
