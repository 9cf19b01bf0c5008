// Registration only: what the addon exports, room by room.
#include <napi.h>

#include "binding/generate.h"
#include "binding/handles.h"
#include "binding/select.h"
#include "binding/survey.h"
#include "binding/trace.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  warp::register_handles(env, exports);
  warp::register_paths(env, exports);
  warp::register_merge(env, exports);
  warp::register_survey(env, exports);
  warp::register_devices(env, exports);
  warp::register_score(env, exports);
  warp::register_generate(env, exports);
  warp::register_train(env, exports);
  warp::register_trace(env, exports);
  warp::register_select(env, exports);
  warp::register_lock(env, exports);
  warp::register_domains(env, exports);
  warp::register_diff(env, exports);
  return exports;
}

NODE_API_MODULE(warp, init)
