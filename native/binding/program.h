#pragma once
// The network of a request, as lib/models emits it. See Network in lib/models/network.ts.
#include <napi.h>

#include "graph/program.h"

namespace warp {

Program parse_program(const Napi::Object& network);

}  // namespace warp
