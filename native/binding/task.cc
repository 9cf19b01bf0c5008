#include "binding/task.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace warp {
namespace {

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kUsage: return "usage";
    case Kind::kInput: return "input";
    case Kind::kResource: return "resource";
    default: return "internal";
  }
}

struct Message {
  bool finished;
  double done, total;
};

class Task;
void on_message(Napi::Env env, Napi::Function callback, Task* task, Message* message);
using Channel = Napi::TypedThreadSafeFunction<Task, Message, on_message>;

class Task {
 public:
  Task(Napi::Env env, std::function<void(Context&)> work, std::function<Napi::Value(Napi::Env)> result)
      : env_(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)), result_(std::move(result)) {}
  ~Task() {
    if (thread_.joinable()) thread_.join();
  }

  void start(Napi::Function on_progress, std::shared_ptr<Task> self) {
    // unbounded queue, but progress is throttled; the channel keeps the event loop alive until the job ends
    channel_ =
        Channel::New(env_, on_progress, "warp", 0, 1, this, [](Napi::Env, void*, Task* task) { task->self_.reset(); });
    self_ = std::move(self);
    context->report = [this](double done, double total) { post_progress(done, total); };
    napi_add_env_cleanup_hook(env_, teardown, this);
    thread_ = std::thread([this] { run(); });
  }

  void receive(Napi::Env env, Napi::Function callback, const Message& message) {
    if (message.finished) return finish(env);
    if (!context->cancelled() && !callback.IsEmpty())
      callback.Call({Napi::Number::New(env, message.done), Napi::Number::New(env, message.total)});
  }

  Napi::Promise promise() const { return deferred_.Promise(); }
  const std::shared_ptr<Context> context = std::make_shared<Context>();

 private:
  void run() {
    try {
      context->check();
      work_(*context);
    } catch (const Cancelled&) {
      cancelled_ = true;
    } catch (const Error& error) {
      error_.emplace(error);
    } catch (const std::bad_alloc&) {
      error_.emplace(Kind::kResource, "OUT_OF_MEMORY", "memory ran out", "lower --memory, or free some");
    } catch (const std::exception& error) {
      error_.emplace(internal_error(error.what()));
    } catch (...) {
      error_.emplace(internal_error("unknown native error"));
    }
    post({true, 0, 0});
    channel_.Release();
  }

  void post(Message message) {
    auto* boxed = new Message(message);
    if (channel_.NonBlockingCall(boxed) != napi_ok) delete boxed;  // the environment is going away
  }

  void post_progress(double done, double total) {
    std::lock_guard<std::mutex> lock(progress_mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (done <= last_done_ || (done < total && now - last_time_ < std::chrono::milliseconds(50))) return;
    last_time_ = now;
    last_done_ = done;
    post({false, done, total});
  }

  // the environment goes away while the thread runs: stop it before its handles die
  static void teardown(void* task) {
    auto* self = static_cast<Task*>(task);
    self->context->cancel();
    if (self->thread_.joinable()) self->thread_.join();
  }

  void finish(Napi::Env env) {
    napi_remove_env_cleanup_hook(env, teardown, this);
    thread_.join();
    Napi::HandleScope scope(env);
    work_ = nullptr;  // drops captured handles now, not at garbage collection
    if (cancelled_) {
      Napi::Error error = Napi::Error::New(env, "The operation was aborted");
      error.Set("name", Napi::String::New(env, "AbortError"));
      deferred_.Reject(error.Value());
    } else if (error_) {
      deferred_.Reject(to_js(env, *error_).Value());
    } else {
      try {
        deferred_.Resolve(result_(env));
      } catch (const Napi::Error& error) {
        deferred_.Reject(error.Value());
      }
    }
    result_ = nullptr;
  }

  napi_env env_;
  Napi::Promise::Deferred deferred_;
  std::function<void(Context&)> work_;
  std::function<Napi::Value(Napi::Env)> result_;
  Channel channel_;
  std::thread thread_;
  std::shared_ptr<Task> self_;  // alive until the channel is finalized
  std::mutex progress_mutex_;
  std::chrono::steady_clock::time_point last_time_{};
  double last_done_ = 0;
  bool cancelled_ = false;
  std::optional<Error> error_;
};

void on_message(Napi::Env env, Napi::Function callback, Task* task, Message* message) {
  const std::unique_ptr<Message> owned(message);
  if (env == nullptr) return;  // teardown: only free
  try {
    task->receive(env, callback, *owned);
  } catch (const Napi::Error&) {
    // what is called throws nothing of its own (lib/native/task.ts): a worker is being terminated, and JavaScript can
    // not be entered any more; teardown follows
  }
}

}  // namespace

Napi::Error to_js(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.message);
  js.Set("kind", Napi::String::New(env, kind_name(error.kind)));
  js.Set("code", Napi::String::New(env, error.code));
  js.Set("hint", Napi::String::New(env, error.hint));
  return js;
}

Napi::Value guarded(Napi::Env env, const std::function<Napi::Value()>& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw to_js(env, error);
  } catch (const std::bad_alloc&) {
    throw to_js(env, Error(Kind::kResource, "OUT_OF_MEMORY", "memory ran out",
                           "a smaller --memory, or fewer probes at once"));
  }
}

Napi::Value start_task(Napi::Env env, Napi::Value on_progress, std::function<void(Context&)> work,
                       std::function<Napi::Value(Napi::Env)> result) {
  const auto task = std::make_shared<Task>(env, std::move(work), std::move(result));
  const Napi::Function callback = on_progress.IsFunction() ? on_progress.As<Napi::Function>()
                                                           : Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  Napi::Object handle = Napi::Object::New(env);
  handle.Set("promise", task->promise());
  handle.Set("cancel",
             Napi::Function::New(env, [context = task->context](const Napi::CallbackInfo&) { context->cancel(); }));
  task->start(callback, task);
  return handle;
}

}  // namespace warp
