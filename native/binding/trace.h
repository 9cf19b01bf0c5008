#pragma once
#include <napi.h>

namespace warp {

void register_trace(Napi::Env env, Napi::Object exports);

}  // namespace warp
