#pragma once
// The architecture a request names. See ModelRequest in lib/native/types.ts.
#include <napi.h>

#include "models/model.h"

namespace warp {

ModelSpec parse_model(const Napi::Object& request);

}  // namespace warp
