#include "binding/model.h"

#include "binding/handles.h"

namespace warp {
namespace {

Activation parse_activation(const std::string& name) {
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_tanh") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  throw internal_error("activation " + name);
}

}  // namespace

ModelSpec parse_model(const Napi::Object& o) {
  ModelSpec spec;
  const auto size = [&](const char* key) { return size_t(get_number(o, key)); };
  spec.kind = get_string(o, "kind");
  spec.hidden = size("hiddenSize");
  spec.layers = size("layers");
  spec.heads = size("heads");
  spec.intermediate = size("intermediateSize");
  spec.vocabulary = size("vocabularySize");
  spec.positions = size("maxPositions");
  spec.types = size("typeVocabularySize");
  spec.labels = size("labels");
  spec.epsilon = float(get_number(o, "layerNormEpsilon"));
  spec.activation = parse_activation(get_string(o, "activation"));
  spec.pad = int64_t(get_number(o, "padTokenId"));
  return spec;
}

}  // namespace warp
