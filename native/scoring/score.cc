#include "scoring/score.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace warp {
namespace {

DeviceJob device_job(const ScoreJob& job) {
  const bool named = !job.names.empty();
  return {job.program,
          job.texts,
          {job.program, *job.path, job.label, job.domain, job.domains, job.scope, job.gradients, !named},
          job.head_inputs,
          named ? &job.names : nullptr};
}

// The host's share of a run on GPUs: results, what is uploaded (twice in the reader's hands, once page-locked), and the
// head inputs where they are asked for.
ScorePlan plan_device(const ScoreJob& job, uint64_t results, uint64_t features) {
  const DevicePlan device = plan_on_devices(job.device, device_job(job));
  const uint64_t statistics = job.gradients ? job.label.size() * (job.domains + 2) * sizeof(double) * 4 : 0;
  ScorePlan plan;
  plan.forward = device.forward;
  plan.device_bytes = device.forward.peak_bytes;
  // a language model's token losses twice, and a chunk's targets and sums
  const uint64_t tokens = job.program.language ? job.texts.ids.size() * (2 * 16 + 40) : 0;
  plan.forward.peak_bytes = 2 * (results + statistics) + device.host_bytes + (job.head_inputs ? features : 0) + tokens;
  plan.forward.smallest_bytes = plan.forward.peak_bytes;
  if (plan.forward.peak_bytes > job.memory) throw memory_budget(plan.forward.smallest_bytes, job.memory);
  return plan;
}

PassArguments arguments(const ScoreJob& job, const std::vector<Tile>& tiles, PassScope* scope) {
  return {job.program, cpu_ops(), *job.path, job.texts, tiles, scope, job.base_only};
}

void classify(const ScoreJob& job, const PassArguments& pass, ScoreResult& out, Threads& threads, Context& context) {
  const Head head(job.program, *job.path, cpu_ops());
  std::optional<ClassifySink> sink;
  if (job.features.size() == 0) {
    sink.emplace(pass, job.label, job.threads);
    run_pass(pass, out.plan.forward, *sink, threads, context);
  }
  const Buffer<float>& features = sink ? sink->features() : job.features;
  out.scores =
      score_head(head, *job.path, features, pass.passes(), job.label, job.scope, !pass.scope, threads, context);
  if (pass.scope && sink) out.scores.alignment = sink->alignment();
  if (job.head_inputs) out.head_inputs.assign(features.begin(), features.end());
  if (job.gradients)
    out.gradients = gradient_statistics(head, *job.path, features, job.texts.texts(), job.label, job.domain,
                                        job.domains, threads, context);
}

}  // namespace

void check_job(const ScoreJob& job) {
  const Program& program = job.program;
  const PackedTexts& packed = job.texts;
  const size_t texts = job.domain.size();
  if (packed.offsets.size() != texts + 1 || packed.offsets[0] != 0 || packed.offsets.back() != packed.ids.size() ||
      (!packed.types.empty() && packed.types.size() != packed.ids.size()) ||
      (program.language ? packed.targets.size() != packed.ids.size() : job.label.size() != texts))
    throw internal_error("score: arrays of different lengths");
  if (job.on_device() && (job.base_only || job.features.size() > 0)) throw internal_error("score: not for a GPU");
  std::vector<size_t> counts(job.domains);
  for (size_t t = 0; t < texts; t++) {
    const uint32_t begin = packed.offsets[t], end = packed.offsets[t + 1];
    if (end <= begin || end - begin > program.positions) throw internal_error("score: text length");
    if (!program.language && (job.label[t] < 0 || size_t(job.label[t]) >= program.outputs))
      throw internal_error("score: label out of range");
    if (job.domain[t] < 0 || size_t(job.domain[t]) >= job.domains) throw internal_error("score: domain out of range");
    counts[size_t(job.domain[t])]++;
  }
  for (size_t count : counts)
    if (count == 0) throw internal_error("score: a domain without probes");
  const size_t features = job.features.size();
  if (features > 0 && (program.language || features != (job.points() + 2) * texts * program.features()))
    throw internal_error("score: features of another size");
  for (uint32_t id : packed.ids)
    if (id >= program.vocabulary) throw internal_error("score: token id out of range");
  for (uint32_t id : packed.targets)
    if (id >= program.outputs && id != kNoTarget) throw internal_error("score: target out of range");
  for (uint8_t type : packed.types)
    if (type >= std::max<size_t>(1, program.types)) throw internal_error("score: token type out of range");
}

ScorePlan plan_score(const ScoreJob& job) {
  const Program& program = job.program;
  const size_t texts = job.texts.texts(), points = job.points(), width = program.features();
  const size_t classes = program.language ? 0 : program.outputs;
  const uint64_t results = texts * (points + 2) * (16 + classes * 4 + (job.head_inputs ? width * 4 : 0));
  const uint64_t features = program.language ? 0 : (points + 2) * texts * width * sizeof(float);
  if (job.on_device()) return plan_device(job, results, features);
  ScorePlan plan;
  plan.tiles = cut_tiles(program, job.texts);
  PassScope scope{job.names, {}};
  const PassArguments pass = arguments(job, plan.tiles, job.names.empty() ? nullptr : &scope);
  uint64_t kept = results, after = results;
  if (program.language) {
    kept = after = results + LanguageSink::planned_bytes(pass, job.threads);
  } else {
    const uint64_t gradients = job.gradients ? gradient_bytes(program, texts, job.domains, points, job.threads) : 0;
    // head scores hold every point's rows at once, as many as there are threads
    const uint64_t head = uint64_t(job.threads) * (texts * (width * 12 + classes * 8) + 3 * width * width * 8);
    kept += features + ClassifySink::planned_bytes(pass, job.threads);
    after += features + std::max(gradients, head);
  }
  plan.forward = plan_pass(pass, {job.threads, job.memory, kept, after});
  return plan;
}

ScoreResult run_score(const ScoreJob& job, Context& context) {
  ScoreResult out;
  out.plan = plan_score(job);
  if (job.on_device()) {
    DeviceScored scored = score_on_devices(job.device, device_job(job), context);
    out.scores = std::move(scored.scores);
    out.token_loss = std::move(scored.token_loss);
    out.gradients = std::move(scored.gradients);
    out.head_inputs.assign(scored.features.begin(), scored.features.end());
    return out;
  }
  Threads threads(job.threads);
  const auto report = std::exchange(context.report, nullptr);  // progress of the forward passes is in other units
  job.path->prepare(threads, context);
  context.report = report;
  PassScope scope{job.names, {}};
  const PassArguments pass = arguments(job, out.plan.tiles, job.names.empty() ? nullptr : &scope);
  if (!job.program.language) {
    classify(job, pass, out, threads, context);
    return out;
  }
  LanguageSink sink(pass, job.threads);
  run_pass(pass, out.plan.forward, sink, threads, context);
  out.scores.loss = std::move(sink.loss());
  if (pass.scope) out.scores.alignment = sink.alignment();
  out.token_loss = std::move(sink.token_loss());
  return out;
}

}  // namespace warp
