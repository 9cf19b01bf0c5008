#include "training/trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace warp {
namespace {

// The table of tokens gets gradients by row, unless it is the output layer too.
std::set<std::string> sparse_tables(const Program& program) {
  const std::string& table = program.token_table();
  return program.head_plan.weight == table ? std::set<std::string>() : std::set<std::string>{table};
}

// What a mean loss is taken over: texts, or targets.
size_t items(const Program& program, const TrainingTexts& texts, const uint32_t* chosen, size_t count) {
  if (!program.language) return count;
  size_t targets = 0;
  for (size_t i = 0; i < count; i++)
    for (uint32_t at = texts.offsets[chosen[i]]; at < texts.offsets[chosen[i] + 1]; at++)
      targets += texts.targets[at] != kNoTarget;
  return targets;
}

}  // namespace

Trainer::Trainer(Program program, const Weights& weights, const std::set<std::string>& trainable,
                 const DropoutRates& rates, uint64_t seed)
    : program_(std::move(program)), parameters_(weights, trainable, sparse_tables(program_)),
      network_(program_, parameters_, rates, seed) {}

double Trainer::accumulate(const TrainingTexts& texts, const uint32_t* chosen, size_t count, size_t batch,
                           Threads& threads, Context& context, float* logits) {
  std::vector<uint32_t> used;
  for (size_t i = 0; i < count; i++)
    used.insert(used.end(), texts.ids.begin() + texts.offsets[chosen[i]],
                texts.ids.begin() + texts.offsets[chosen[i] + 1]);
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  parameters_.clear_gradients(used);
  double loss = 0;
  const double total = double(items(program_, texts, chosen, count));
  const size_t width = program_.language ? 0 : program_.outputs;
  for (size_t first = 0; first < count; first += batch) {
    const size_t take = std::min(batch, count - first);
    const Batch packed = make_batch(program_, texts, chosen + first, take, first);
    loss += network_.run(packed, uint32_t(step_), 1 / total, threads, context, logits + first * width);
  }
  return loss / total;
}

TrainingSteps Trainer::run(const TrainingTexts& texts, const TrainingPlan& plan, Threads& threads, Context& context) {
  TrainingSteps result;
  result.loss.reserve(plan.ends.size());
  result.norm.reserve(plan.ends.size());
  size_t begin = 0;
  for (size_t i = 0; i < plan.ends.size(); i++) {
    take_step(texts, plan, begin, i, threads, context, result);
    begin = plan.ends[i];
    context.tell(double(begin), double(plan.order.size()));
  }
  return result;
}

void Trainer::take_step(const TrainingTexts& texts, const TrainingPlan& plan, size_t begin, size_t i, Threads& threads,
                        Context& context, TrainingSteps& result) {
  const size_t count = plan.ends[i] - begin;
  std::vector<float> logits(program_.language ? 0 : count * program_.outputs);
  const double loss = accumulate(texts, plan.order.data() + begin, count, plan.batch, threads, context, logits.data());
  const double norm = gradient_norm(parameters_, threads);
  if (!std::isfinite(loss) || !std::isfinite(norm))
    throw Error(Kind::kInput, "TRAINING_DIVERGED",
                "the " + std::string(std::isfinite(loss) ? "gradient" : "loss") + " of step " +
                    std::to_string(step_ + 1) + " is not finite; the parameters are those after step " +
                    std::to_string(step_),
                "lower the learning rate, or clip the gradient");
  context.check();  // the last look: parameters, moments and step number now move together
  optimizer_step(parameters_, plan.optimizer, plan.rates[i], step_ + 1, norm, cpu_backward_ops(), threads);
  step_++;
  result.loss.push_back(loss);
  result.norm.push_back(norm);
}

double Trainer::gradients(const TrainingTexts& texts, Threads& threads, Context& context, std::vector<float>& logits) {
  std::vector<uint32_t> chosen(texts.texts());
  std::iota(chosen.begin(), chosen.end(), 0);
  logits.resize(program_.language ? 0 : chosen.size() * program_.outputs);
  return accumulate(texts, chosen.data(), chosen.size(), chosen.size(), threads, context, logits.data());
}

}  // namespace warp
