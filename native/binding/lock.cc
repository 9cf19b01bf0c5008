// lockFile(name): a handle whose close() gives the lock back, or null. See lib/native/types.ts.
#include "binding/handles.h"
#include "binding/task.h"
#include "files/lock.h"

namespace warp {
namespace {

constexpr napi_type_tag kLockTag = {0x7761727057656967ull, 0x20ull};

Napi::Value lock_file(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    std::shared_ptr<FileLock> lock = FileLock::take(call[0].As<Napi::String>());
    return lock ? box(call.Env(), std::move(lock), kLockTag) : call.Env().Null();
  });
}

}  // namespace

void register_lock(Napi::Env env, Napi::Object exports) {
  exports.Set("lockFile", Napi::Function::New(env, lock_file));
}

}  // namespace warp
