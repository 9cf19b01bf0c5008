#include "binding/program.h"

#include <cmath>
#include <map>

#include "binding/handles.h"

namespace warp {
namespace {

double number_or(const Napi::Object& o, const char* key, double otherwise) {
  const Napi::Value value = o.Get(key);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : otherwise;
}

std::string string_or_none(const Napi::Object& o, const char* key) {
  const Napi::Value value = o.Get(key);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
}

template <class Value>
Value named(const std::map<std::string, Value>& names, const std::string& name, const char* what) {
  const auto found = names.find(name);
  if (found == names.end()) throw internal_error(std::string("network: ") + what + " " + name);
  return found->second;
}

Activation parse_activation(const std::string& name) {
  return named<Activation>({{"gelu", Activation::kGelu},
                            {"gelu_tanh", Activation::kGeluTanh},
                            {"relu", Activation::kRelu},
                            {"tanh", Activation::kTanh},
                            {"silu", Activation::kSilu}},
                           name, "activation");
}

// Frequencies as `transformers` computes them: 1 / theta^(2j / rotary), then what scaling makes of them.
RopePlan parse_rope(const Napi::Object& o) {
  RopePlan rope;
  rope.rotary = size_t(get_number(o, "rotary"));
  const double theta = get_number(o, "theta");
  for (size_t j = 0; j < rope.rotary / 2; j++)
    rope.frequency.push_back(std::pow(theta, -2.0 * double(j) / double(rope.rotary)));
  if (!o.Get("scaling").IsObject()) return rope;
  const Napi::Object scaling = o.Get("scaling").As<Napi::Object>();
  const std::string type = get_string(scaling, "type");
  const double factor = get_number(scaling, "factor");
  if (type == "linear") {
    for (double& f : rope.frequency) f /= factor;
  } else if (type == "llama3") {
    const double low = get_number(scaling, "lowFrequencyFactor"), high = get_number(scaling, "highFrequencyFactor");
    const double original = get_number(scaling, "originalMaxPositions");
    for (double& f : rope.frequency) {
      const double wavelength = 2 * 3.14159265358979323846 / f;
      const double smooth = (original / wavelength - low) / (high - low);
      if (wavelength > original / low) f /= factor;
      else if (wavelength >= original / high) f = (1 - smooth) * f / factor + smooth * f;
    }
  } else {
    throw internal_error("network: rope scaling " + type);
  }
  return rope;
}

// Slots by name while a block is read.
class BlockParser {
 public:
  BlockParser(Program& program, size_t width) : program_(program) {
    slots_["x"] = 0;
    block_.widths.push_back(uint32_t(width));
  }

  Block parse(const Napi::Object& o) {
    const Napi::Array steps = o.Get("steps").As<Napi::Array>();
    for (uint32_t i = 0; i < steps.Length(); i++) add(steps.Get(i).As<Napi::Object>());
    block_.output = slot(get_string(o, "output"));
    return std::move(block_);
  }

 private:
  uint32_t slot(const std::string& name) const { return named(slots_, name, "slot"); }

  Operand operand(const Napi::Object& o, const char* key) const {
    const Napi::Value value = o.Get(key);
    if (value.IsString()) {
      const uint32_t whole = slot(value.As<Napi::String>().Utf8Value());
      return {whole, 0, block_.widths[whole]};
    }
    const Napi::Object part = value.As<Napi::Object>();
    return {slot(get_string(part, "slot")), uint32_t(get_number(part, "at")), uint32_t(get_number(part, "width"))};
  }

  int vector(const std::string& name, size_t size) {
    if (name.empty()) return -1;
    block_.weights.vectors.push_back({name, size});
    return int(block_.weights.vectors.size()) - 1;
  }

  void add(const Napi::Object& o) {
    Step s;
    const std::string op = get_string(o, "op");
    s.kind = named<StepKind>({{"linear", StepKind::kLinear},
                              {"norm", StepKind::kNorm},
                              {"rope", StepKind::kRope},
                              {"attention", StepKind::kAttention},
                              {"activate", StepKind::kActivate},
                              {"multiply", StepKind::kMultiply},
                              {"add", StepKind::kAdd},
                              {"drop", StepKind::kDrop},
                              {"softcap", StepKind::kSoftcap}},
                             op, "step");
    if (s.kind == StepKind::kAttention) {
      s.a = operand(o, "q");
      s.b = operand(o, "k");
      s.c = operand(o, "v");
    } else if (s.kind == StepKind::kAdd || s.kind == StepKind::kMultiply) {
      s.a = operand(o, "a");
      s.b = operand(o, "b");
    } else {
      s.a = operand(o, "from");
    }
    size_t width = s.a.width;
    if (s.kind == StepKind::kLinear) width = linear(o, s);
    if (s.kind == StepKind::kNorm) norm(o, s);
    if (s.kind == StepKind::kRope) rope(o, s);
    if (s.kind == StepKind::kAttention) attention(o, s);
    if (s.kind == StepKind::kActivate) s.activation = parse_activation(get_string(o, "function"));
    if (s.kind == StepKind::kSoftcap) s.softcap = float(get_number(o, "cap"));
    if (s.kind == StepKind::kDrop) {
      s.site = get_string(o, "site");
      s.rate = named<Rate>({{"embedding", Rate::kEmbedding}, {"hidden", Rate::kHidden}, {"head", Rate::kHead}},
                           get_string(o, "rate"), "rate");
    }
    const std::string to = get_string(o, "to");
    if (slots_.count(to)) throw internal_error("network: slot " + to + " is written twice");
    s.to = slots_[to] = uint32_t(block_.widths.size());
    block_.widths.push_back(uint32_t(width));
    block_.steps.push_back(std::move(s));
  }

  size_t linear(const Napi::Object& o, Step& s) {
    LinearPlan plan;
    plan.inputs = size_t(get_number(o, "inputs"));
    plan.turned = o.Get("turned").ToBoolean();
    plan.stored_outputs = size_t(number_or(o, "storedOutputs", 0));
    const Napi::Array parts = o.Get("parts").As<Napi::Array>();
    for (uint32_t i = 0; i < parts.Length(); i++) {
      const Napi::Object part = parts.Get(i).As<Napi::Object>();
      plan.parts.push_back({get_string(part, "weight"), string_or_none(part, "bias"),
                            size_t(number_or(part, "first", 0)), size_t(get_number(part, "rows"))});
    }
    s.linear = int(block_.weights.linears.size());
    block_.weights.linears.push_back(std::move(plan));
    return block_.weights.linears.back().outputs();
  }

  void norm(const Napi::Object& o, Step& s) {
    s.center = named<bool>({{"layer", true}, {"rms", false}}, get_string(o, "kind"), "norm");
    s.epsilon = float(get_number(o, "epsilon"));
    s.offset = float(number_or(o, "offset", 0));
    s.groups = size_t(number_or(o, "groups", 1));
    s.gain = vector(get_string(o, "gain"), s.a.width / s.groups);
    s.bias = vector(string_or_none(o, "bias"), s.a.width / s.groups);
  }

  void rope(const Napi::Object& o, Step& s) {
    s.head_size = size_t(get_number(o, "headSize"));
    s.rotary = size_t(get_number(o, "rotary"));
    const RopePlan plan = parse_rope(o);
    for (size_t i = 0; i < program_.ropes.size(); i++)
      if (program_.ropes[i] == plan) s.rope = int(i);
    if (s.rope >= 0) return;
    s.rope = int(program_.ropes.size());
    program_.ropes.push_back(plan);
  }

  void attention(const Napi::Object& o, Step& s) {
    s.heads = size_t(get_number(o, "heads"));
    s.kv_heads = size_t(get_number(o, "kvHeads"));
    s.head_size = size_t(get_number(o, "headSize"));
    s.causal = get_bool(o, "causal");
    s.scale = float(get_number(o, "scale"));
    s.window = size_t(number_or(o, "window", 0));
    s.softcap = float(number_or(o, "softcap", 0));
    s.site = get_string(o, "site");
    s.rate = Rate::kAttention;
  }

  Program& program_;
  Block block_;
  std::map<std::string, uint32_t> slots_;
};

Block parse_block(Program& program, size_t width, const Napi::Value& block) {
  return BlockParser(program, width).parse(block.As<Napi::Object>());
}

}  // namespace

Program parse_program(const Napi::Object& o) {
  Program p;
  const auto size = [&](const char* key) { return size_t(get_number(o, key)); };
  p.hidden = size("hiddenSize");
  p.vocabulary = size("vocabularySize");
  p.positions = size("maxPositions");
  p.types = size("typeVocabularySize");
  p.embedding = size("embeddingSize");
  const Napi::Array tables = o.Get("tables").As<Napi::Array>();
  for (uint32_t i = 0; i < tables.Length(); i++) {
    const Napi::Object t = tables.Get(i).As<Napi::Object>();
    const TableBy by =
        named<TableBy>({{"token", TableBy::kToken}, {"position", TableBy::kPosition}, {"type", TableBy::kType}},
                       get_string(t, "by"), "table by");
    p.tables.push_back({get_string(t, "tensor"), by, size_t(get_number(t, "rows")),
                        int64_t(number_or(t, "padding", -1)), float(number_or(t, "factor", 1))});
  }
  p.embed = parse_block(p, p.embedding, o.Get("embed"));
  const Napi::Array layers = o.Get("layers").As<Napi::Array>();
  for (uint32_t i = 0; i < layers.Length(); i++) p.layers.push_back(parse_block(p, p.hidden, layers.Get(i)));
  p.head = parse_block(p, p.hidden, o.Get("head"));
  p.select = named<Select>(
      {{"first", Select::kFirst}, {"last", Select::kLast}, {"mean", Select::kMean}, {"all", Select::kAll}},
      get_string(o, "select"), "select");
  p.language = named<bool>({{"classify", false}, {"language", true}}, get_string(o, "objective"), "objective");
  p.pad = int64_t(get_number(o, "padTokenId"));
  p.padding_row = int64_t(get_number(o, "paddingRow"));
  finish_program(p);
  return p;
}

ScopeNames parse_names(const Napi::Value& list) {
  const Napi::Array given = list.As<Napi::Array>();
  ScopeNames names;
  for (uint32_t i = 0; i < given.Length(); i++) names.insert(given.Get(i).As<Napi::String>().Utf8Value());
  return names;
}

DeviceChoice parse_device(const Napi::Object& o) {
  DeviceChoice choice;
  if (!o.Has("device")) return choice;
  const Napi::Object device = o.Get("device").As<Napi::Object>();
  for (double index : get_doubles(device, "indices")) choice.indices.push_back(int(index));
  const std::string precision = get_string(device, "precision");
  choice.precision = precision == "tf32" ? Precision::kTF32 : precision == "bf16" ? Precision::kBF16 : Precision::kF32;
  choice.memory = uint64_t(get_number(device, "memory"));
  return choice;
}

}  // namespace warp
