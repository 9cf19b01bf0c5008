#pragma once
#include <napi.h>

namespace warp {

void register_survey(Napi::Env env, Napi::Object exports);

}  // namespace warp
