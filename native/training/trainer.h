#pragma once
// Fine-tuning: the parameters, their moments and the step number, moved one step at a time.
#include <memory>

#include "training/network.h"
#include "training/optimizer.h"

namespace warp {

struct TrainingPlan {
  std::vector<uint32_t> order;    // numbers of texts, step after step
  std::vector<uint32_t> ends;     // by step: where its texts end in `order`
  std::vector<double> rates;      // by step: the learning rate
  size_t batch = 32;              // texts of one pass; a step of more is accumulated
  OptimizerOptions optimizer;
};

struct TrainingSteps {
  std::vector<double> loss, norm;  // by step: mean loss over its texts (of language models: its targets) before the
                                   // update; norm of the gradient
};

class Trainer {
 public:
  Trainer(Program program, const Weights& weights, const std::set<std::string>& trainable, const DropoutRates& rates,
          uint64_t seed);

  // Takes the plan's steps. Progress: texts. A loss or gradient that is not finite is an error that names the step, and
  // the parameters stay as they were before it. A cancelled step is not taken either; `step` says how many are.
  // Parameters, moments and step number always belong together.
  TrainingSteps run(const TrainingTexts& texts, const TrainingPlan& plan, Threads& threads, Context& context);

  // Loss, logits (texts × labels) and the gradients (left in the parameters) of the mean loss of some texts, in one
  // pass with dropout masks of step 0. Takes no step.
  double gradients(const TrainingTexts& texts, Threads& threads, Context& context, std::vector<float>& logits);

  Parameters& parameters() { return parameters_; }
  uint64_t step() const { return step_; }
  void set_step(uint64_t step) { step_ = step; }
  const Program& program() const { return program_; }

 private:
  double accumulate(const TrainingTexts& texts, const uint32_t* chosen, size_t count, size_t batch, Threads& threads,
                    Context& context, float* logits);
  // Step i of the plan, whose texts begin at `begin` of its order.
  void take_step(const TrainingTexts& texts, const TrainingPlan& plan, size_t begin, size_t i, Threads& threads,
                 Context& context, TrainingSteps& result);

  const Program program_;
  Parameters parameters_;
  Network network_;
  uint64_t step_ = 0;
};

}  // namespace warp
