#pragma once
#include <napi.h>

namespace warp {

void register_generate(Napi::Env env, Napi::Object exports);

}  // namespace warp
