#include "scoring/token_gradients.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "scoring/reverse.h"

namespace warp {
namespace {

constexpr size_t kMostTokens = 4096;  // of one batch, where one text is not longer

class TokenSums : public ReverseSink {
 public:
  TokenSums(const TokenGradientJob& job, std::vector<float>& out)
      : job_(job), width_(job.program.embedding), out_(out) {
    for (const TablePlan& table : job.program.tables)
      if (table.by == TableBy::kToken) factor_ = table.factor;
  }
  // of the first token of the batch, whose texts stand next to each other
  void start(size_t token, size_t count) {
    token_ = token;
    count_ = count;
  }
  void take(const ReverseBlock&, Threads&) override {}
  void inputs(const float* dx) override {
    for (size_t i = 0; i < count_; i++) {
      const uint32_t group = job_.group[token_ + i];
      if (group == kNoGroup) continue;
      for (size_t j = 0; j < width_; j++) out_[group * width_ + j] += factor_ * dx[i * width_ + j];
    }
  }

 private:
  const TokenGradientJob& job_;
  const size_t width_;
  std::vector<float>& out_;
  float factor_ = 1;
  size_t token_ = 0, count_ = 0;
};

uint64_t planned_bytes(const TokenGradientJob& job) {
  const Program& p = job.program;
  const size_t tokens = std::min<size_t>(job.texts.ids.size(), kMostTokens + longest_text(job.texts));
  uint64_t embed = 2 * p.embedding + p.hidden;
  for (uint32_t width : p.embed.widths) embed += 2 * width;
  return ReversePass::planned_bytes(p, *job.path, tokens, job.threads) +
         (tokens * embed + job.groups * p.embedding) * sizeof(float);
}

}  // namespace

std::vector<float> token_gradients(const TokenGradientJob& job, Context& context) {
  const uint64_t planned = planned_bytes(job);
  if (planned > job.memory) throw memory_budget(planned, job.memory);
  std::vector<float> out(job.groups * job.program.embedding, 0.0f);
  Threads threads(job.threads);
  const TrainingTexts texts = reverse_texts(job.texts, job.label);
  TokenSums sink(job, out);
  ReversePass pass({job.program, *job.path, job.point, 0, true, true}, longest_text(job.texts), threads, context);
  for (uint32_t first = 0, end = 0; first < texts.texts(); first = end) {
    const size_t begin = texts.offsets[first];
    while (end < texts.texts() && (end == first || texts.offsets[end] - begin < kMostTokens)) end++;
    std::vector<uint32_t> chosen(end - first);
    std::iota(chosen.begin(), chosen.end(), first);
    sink.start(begin, texts.offsets[end] - begin);
    if (!std::isfinite(pass.run(make_batch(job.program, texts, chosen.data(), chosen.size(), 0), sink)))
      throw loss_not_finite(first);
    context.progress(double(end), double(texts.texts()));
  }
  return out;
}

}  // namespace warp
