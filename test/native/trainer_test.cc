// A training step that is cancelled at any point where work may stop: either nothing has changed, or the whole step.
#include <cstring>

#include "check.h"
#include "core/random.h"
#include "small_models.h"
#include "training/trainer.h"

using namespace warp;

static const char* const kinds[] = {"bert", "gpt2"};

static std::unique_ptr<Trainer> trainer_of(const std::string& kind) {
  const Program program = small::program(kind);
  const auto weights = small::weights(program, Dtype::kF32, 0, 0);
  std::set<std::string> all;
  for (const auto& entry : weights->tensors()) all.insert(entry.first);
  return std::make_unique<Trainer>(program, *weights, all, DropoutRates{.1, .1, .1, .1}, 3);
}

// 40 texts: several tiles.
static TrainingTexts texts_of(const Program& program) {
  TrainingTexts texts;
  const PackedTexts packed = small::texts(program, std::vector<uint32_t>(40, 13));
  texts.ids = packed.ids;
  texts.types = packed.types;
  texts.offsets = packed.offsets;
  for (int32_t i = 0; i < 40; i++) texts.label.push_back(i % 3);
  return texts;
}

// `steps` steps of 20 texts in two passes each.
static TrainingPlan plan_of(uint32_t steps) {
  TrainingPlan plan;
  plan.batch = 10;
  for (uint32_t i = 0; i < steps; i++) {
    for (uint32_t t = 0; t < 20; t++) plan.order.push_back((20 * i + t) % 40);
    plan.ends.push_back(20 * (i + 1));
    plan.rates.push_back(1e-3);
  }
  return plan;
}

// Parameters, moments and step number, as bytes.
static std::string state_of(Trainer& trainer) {
  std::string bytes = std::to_string(trainer.step());
  for (auto& entry : trainer.parameters().all())
    for (const Buffer<float>* part : {&entry.second.value, &entry.second.first, &entry.second.second})
      bytes.append(reinterpret_cast<const char*>(part->data()), part->size() * sizeof(float));
  return bytes;
}

TEST(a_cancelled_step_is_taken_whole_or_not_at_all) {
  for (const char* kind : kinds)
    for (int count : {1, 3}) {
      Threads threads(count);
      Context calm;
      const auto whole = trainer_of(kind);
      const TrainingTexts texts = texts_of(whole->program());
      const std::string before = state_of(*whole);
      whole->run(texts, plan_of(1), threads, calm);
      const std::string after = state_of(*whole);
      const auto trainer = trainer_of(kind);
      size_t looks = 0;
      for (;; looks++) {
        Context context;
        context.cancel_at_look(looks + 1);
        // told as soon as the step is taken: then a caller that counts by what it is told is never behind
        bool told = false;
        context.report = [&](double, double) { told = true; };
        try {
          trainer->run(texts, plan_of(1), threads, context);
          CHECK(told);
          break;
        } catch (const Cancelled&) {
          CHECK(!told);
          CHECK(state_of(*trainer) == before);
        }
      }
      CHECK(looks >= 9);  // two passes of two layers there and back, and before the update
      CHECK(state_of(*trainer) == after);
    }
}

TEST(cancelled_after_some_steps_it_is_where_its_number_says) {
  const auto reference = trainer_of("bert");
  const TrainingTexts texts = texts_of(reference->program());
  Threads threads(2);
  std::vector<std::string> states = {state_of(*reference)};
  for (uint32_t i = 0; i < 3; i++) {
    Context calm;
    TrainingPlan one = plan_of(3);
    one.order.assign(one.order.begin() + 20 * i, one.order.begin() + 20 * (i + 1));
    one.ends = {20};
    one.rates = {1e-3};
    reference->run(texts, one, threads, calm);
    states.push_back(state_of(*reference));
  }
  std::set<size_t> seen;
  for (size_t look = 1; !seen.count(3); look += 3) {
    const auto trainer = trainer_of("bert");
    Context context;
    context.cancel_at_look(look);
    try {
      CHECK(trainer->run(texts, plan_of(3), threads, context).loss.size() == 3);
    } catch (const Cancelled&) {
      CHECK(trainer->step() < 3);
    }
    CHECK(state_of(*trainer) == states[trainer->step()]);
    seen.insert(trainer->step());
  }
  CHECK((seen == std::set<size_t>{0, 1, 2, 3}));
}

TEST_MAIN
