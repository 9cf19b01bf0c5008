#pragma once
// The network of a request, as lib/models emits it. See Network in lib/models/network.ts.
#include <napi.h>

#include <vector>

#include "binding/handles.h"
#include "graph/program.h"
#include "graph/weights.h"
#include "scoring/device_choice.h"

namespace warp {

Program parse_program(const Napi::Object& network);

// PackedTexts in lib/native/types.ts: into whatever has these arrays.
template <class Texts>
void parse_packed(const Napi::Object& o, Texts& texts) {
  texts.ids = get_uint32s(o, "ids");
  texts.types = get_bytes(o, "typeIds");
  texts.offsets = get_uint32s(o, "offsets");
}

// What is learned from them: the targets of a language model, else the labels.
template <class Texts>
void parse_learned(const Napi::Object& o, const Program& program, Texts& texts, std::vector<int32_t>& label) {
  if (program.language) texts.targets = get_uint32s(o, "targets");
  else label = get_int32s(o, "label");
}

ScopeNames parse_names(const Napi::Value& list);

// DeviceRequest of a request; without it no indices.
DeviceChoice parse_device(const Napi::Object& o);

}  // namespace warp
