#pragma once
#include <napi.h>

namespace warp {

void register_select(Napi::Env env, Napi::Object exports);

}  // namespace warp
