#include "training/trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace warp {

Trainer::Trainer(std::unique_ptr<Model> model, const Weights& weights, const std::set<std::string>& trainable,
                 const DropoutRates& rates, uint64_t seed)
    : model_(std::move(model)), parameters_(weights, trainable, {model_->embedding().words}),
      network_(*model_, parameters_, rates, seed) {}

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
  for (size_t first = 0; first < count; first += batch) {
    const size_t take = std::min(batch, count - first);
    const Batch packed = make_batch(model_->spec, texts, chosen + first, take, first);
    loss += network_.run(packed, uint32_t(step_), 1 / double(count), threads, context,
                         logits + first * model_->spec.labels);
  }
  return loss / double(count);
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
  std::vector<float> logits(count * model_->spec.labels);
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
  logits.resize(chosen.size() * model_->spec.labels);
  return accumulate(texts, chosen.data(), chosen.size(), chosen.size(), threads, context, logits.data());
}

}  // namespace warp
