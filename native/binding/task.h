#pragma once
// A long native job as a promise: own thread, throttled progress, cancellation, a clean end when the environment
// goes away. Handles given to a job are kept alive by the functions that capture them.
#include <napi.h>

#include <functional>

#include "core/context.h"

namespace warp {

// `work` runs on its own thread and touches no Napi; `result` runs on the JavaScript thread after it.
// Returns { promise, cancel() }. The promise rejects with an Error that has kind, code and hint, or name AbortError.
Napi::Value start_task(Napi::Env env, Napi::Value on_progress, std::function<void(Context&)> work,
                       std::function<Napi::Value(Napi::Env)> result);

// A native error as a JavaScript one with kind, code and hint.
Napi::Error to_js(Napi::Env env, const Error& error);

// Runs `body`; native errors become JavaScript exceptions.
Napi::Value guarded(Napi::Env env, const std::function<Napi::Value()>& body);

}  // namespace warp
