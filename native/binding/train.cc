// openTrainer, trainSteps, trainingGradients, and copies of a trainer's tensors. See lib/native/types.ts.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "binding/handles.h"
#include "binding/program.h"
#include "binding/task.h"
#include "training/trainer.h"

namespace warp {
namespace {

constexpr napi_type_tag kTrainerTag = {0x7761727054726169ull, 0x3ull};

struct TrainerBox {
  std::unique_ptr<Trainer> trainer;
  std::atomic<bool> busy{false};
};

// One job at a time.
class Claim {
 public:
  explicit Claim(TrainerBox& box) : box_(box) {
    if (box_.busy.exchange(true))
      throw Error(Kind::kUsage, "TRAINER_BUSY", "the trainer is at work already", "await it first");
  }
  ~Claim() { box_.busy = false; }

 private:
  TrainerBox& box_;
};

std::shared_ptr<TrainerBox> trainer_of(const Napi::Value& handle) {
  return unbox<TrainerBox>(handle, kTrainerTag, "a trainer");
}

// openTrainer({weights, model, trainable, dropout, seed}, onProgress)
Napi::Value open_trainer(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object request = call[0].As<Napi::Object>();
    const auto weights = weights_of(request.Get("weights"));
    const auto program = std::make_shared<Program>(parse_program(request.Get("network").As<Napi::Object>()));
    std::set<std::string> trainable;
    const Napi::Array names = request.Get("trainable").As<Napi::Array>();
    for (uint32_t i = 0; i < names.Length(); i++) trainable.insert(names.Get(i).As<Napi::String>().Utf8Value());
    const Napi::Object rates = request.Get("dropout").As<Napi::Object>();
    const DropoutRates dropout = {get_number(rates, "embedding"), get_number(rates, "attention"),
                                  get_number(rates, "hidden"), get_number(rates, "head")};
    const uint64_t seed = uint64_t(get_number(request, "seed"));
    const auto box_ = std::make_shared<TrainerBox>();
    return start_task(
        call.Env(), call[1],
        [=](Context&) { box_->trainer = std::make_unique<Trainer>(*program, *weights, trainable, dropout, seed); },
        [=](Napi::Env env) { return box(env, box_, kTrainerTag); });
  });
}

TrainingTexts parse_texts(const Napi::Object& o, const Program& program) {
  TrainingTexts texts;
  parse_packed(o, texts);
  parse_learned(o, program, texts, texts.label);
  if (!program.language && o.Has("soft")) {
    const auto soft = o.Get("soft").As<Napi::Float32Array>();
    texts.soft.assign(soft.Data(), soft.Data() + soft.ElementLength());
  }
  if (texts.offsets.empty() || texts.offsets[0] != 0 || texts.offsets.back() != texts.ids.size() ||
      (!texts.types.empty() && texts.types.size() != texts.ids.size()) ||
      (program.language ? texts.targets.size() != texts.ids.size() : texts.label.size() != texts.texts()) ||
      (!texts.soft.empty() && texts.soft.size() != texts.texts() * program.outputs))
    throw internal_error("train: arrays of different lengths");
  for (size_t t = 0; t < texts.texts(); t++) {
    if (texts.offsets[t + 1] <= texts.offsets[t] || texts.offsets[t + 1] - texts.offsets[t] > program.positions)
      throw internal_error("train: text length");
    if (!program.language && (texts.label[t] < 0 || size_t(texts.label[t]) >= program.outputs))
      throw internal_error("train: label out of range");
  }
  for (uint32_t id : texts.ids)
    if (id >= program.vocabulary) throw internal_error("train: token id out of range");
  for (uint8_t type : texts.types)
    if (type >= std::max<size_t>(1, program.types)) throw internal_error("train: token type out of range");
  return texts;
}

TrainingPlan parse_plan(const Napi::Object& o, size_t texts) {
  TrainingPlan plan;
  plan.order = get_uint32s(o, "order");
  plan.ends = get_uint32s(o, "ends");
  plan.rates = get_doubles(o, "rates");
  plan.batch = std::max<size_t>(1, size_t(get_number(o, "batch")));
  const Napi::Object optimizer = o.Get("optimizer").As<Napi::Object>();
  plan.optimizer = {get_bool(optimizer, "decoupled"),     get_number(optimizer, "beta1"),
                    get_number(optimizer, "beta2"),       get_number(optimizer, "epsilon"),
                    get_number(optimizer, "weightDecay"), get_number(optimizer, "clip")};
  uint32_t begin = 0;
  for (uint32_t end : plan.ends) {
    if (end <= begin) throw internal_error("train: a step without texts");
    begin = end;
  }
  if (plan.rates.size() != plan.ends.size() || begin != plan.order.size())
    throw internal_error("train: plan of other lengths");
  for (uint32_t text : plan.order)
    if (text >= texts) throw internal_error("train: number of a text out of range");
  return plan;
}

// A job on a trainer and some texts. It holds the trainer until it is over.
struct TrainingJob {
  const std::shared_ptr<TrainerBox> held;
  const TrainingTexts texts;
  const int threads;
  const Claim claim;

  TrainingJob(const Napi::Value& trainer, const Napi::Object& request)
      : held(trainer_of(trainer)), texts(parse_texts(request, held->trainer->program())),
        threads(std::max(1, int(get_number(request, "threads")))), claim(*held) {}
};

// trainSteps(trainer, {texts, plan, threads}, onProgress)
Napi::Value train_steps(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const Napi::Object request = call[1].As<Napi::Object>();
    const auto job = std::make_shared<TrainingJob>(call[0], request);
    const auto plan = std::make_shared<TrainingPlan>(parse_plan(request, job->texts.texts()));
    const auto steps = std::make_shared<TrainingSteps>();
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          Threads threads(job->threads);
          *steps = job->held->trainer->run(job->texts, *plan, threads, context);
        },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object o = Napi::Object::New(env);
          o.Set("loss", to_float64_array(env, steps->loss));
          o.Set("norm", to_float64_array(env, steps->norm));
          return o;
        });
  });
}

Napi::Value gradients_to_js(Napi::Env env, Trainer& trainer) {
  Napi::Object all = Napi::Object::New(env);
  for (auto& [name, p] : trainer.parameters().all()) {
    if (!p.trainable) continue;
    std::vector<float> dense(p.elements());
    const size_t width = p.row_elements();
    if (p.sparse)
      for (size_t i = 0; i < p.rows.size(); i++)
        std::copy_n(p.gradient.data() + i * width, width, dense.begin() + std::ptrdiff_t(p.rows[i] * width));
    else std::copy_n(p.gradient.data(), p.elements(), dense.begin());
    all.Set(name, to_float32_array(env, dense));
  }
  return all;
}

// trainingGradients(trainer, {texts, threads}, onProgress)
Napi::Value training_gradients(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto job = std::make_shared<TrainingJob>(call[0], call[1].As<Napi::Object>());
    const auto logits = std::make_shared<std::vector<float>>();
    const auto loss = std::make_shared<double>();
    return start_task(
        call.Env(), call[2],
        [=](Context& context) {
          Threads threads(job->threads);
          *loss = job->held->trainer->gradients(job->texts, threads, context, *logits);
        },
        [=](Napi::Env env) -> Napi::Value {
          Napi::Object o = Napi::Object::New(env);
          o.Set("loss", *loss);
          o.Set("logits", to_float32_array(env, *logits));
          o.Set("gradients", gradients_to_js(env, *job->held->trainer));
          return o;
        });
  });
}

// Elements [first, first + count) of a tensor's value or moments.
float* slice(Trainer& trainer, const Napi::CallbackInfo& call, size_t first, size_t count) {
  Parameter& p = trainer.parameters().at(call[1].As<Napi::String>());
  const std::string part = call[2].As<Napi::String>();
  Buffer<float>& buffer = part == "value" ? p.value : part == "first" ? p.first : p.second;
  if (first > buffer.size() || count > buffer.size() - first) throw internal_error("a slice beyond the tensor");
  return buffer.data() + first;
}

// readTrainer(trainer, name, part, dtype, first, count) → bytes
Napi::Value read_trainer(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto held = trainer_of(call[0]);
    const Claim claim(*held);
    const Dtype dtype = parse_dtype(call[3].As<Napi::String>());
    const size_t first = size_t(call[4].As<Napi::Number>().Int64Value()),
                 count = size_t(call[5].As<Napi::Number>().Int64Value());
    const float* from = slice(*held->trainer, call, first, count);
    Napi::ArrayBuffer bytes = Napi::ArrayBuffer::New(call.Env(), count * dtype_size(dtype));
    from_float(dtype, from, count, bytes.Data());
    return bytes;
  });
}

// writeTrainer(trainer, name, part, first, values: Float32Array): a state that was saved
Napi::Value write_trainer(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto held = trainer_of(call[0]);
    const Claim claim(*held);
    const size_t first = size_t(call[3].As<Napi::Number>().Int64Value());
    const auto values = call[4].As<Napi::Float32Array>();
    float* to = slice(*held->trainer, call, first, values.ElementLength());
    std::copy_n(values.Data(), values.ElementLength(), to);
    Parameter& p = held->trainer->parameters().at(call[1].As<Napi::String>());
    if (p.sparse && call[2].As<Napi::String>().Utf8Value() != "value")
      for (size_t i = 0; i < values.ElementLength(); i++)
        if (values[i] != 0) p.moved[(first + i) / p.row_elements()] = 1;
    return call.Env().Undefined();
  });
}

// trainerStep(trainer, step?) → the number of steps taken, after setting it
Napi::Value trainer_step(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto held = trainer_of(call[0]);
    const Claim claim(*held);
    if (call[1].IsNumber()) held->trainer->set_step(uint64_t(call[1].As<Napi::Number>().Int64Value()));
    return Napi::Number::New(call.Env(), double(held->trainer->step()));
  });
}

}  // namespace

void register_train(Napi::Env env, Napi::Object exports) {
  exports.Set("openTrainer", Napi::Function::New(env, open_trainer));
  exports.Set("trainSteps", Napi::Function::New(env, train_steps));
  exports.Set("trainingGradients", Napi::Function::New(env, training_gradients));
  exports.Set("readTrainer", Napi::Function::New(env, read_trainer));
  exports.Set("writeTrainer", Napi::Function::New(env, write_trainer));
  exports.Set("trainerStep", Napi::Function::New(env, trainer_step));
}

}  // namespace warp
