#include "core/threads.h"

#include <chrono>

namespace warp {
namespace {

// To be woken takes a thread tens of microseconds, as long as a small product: it looks around for a while first.
template <class Done>
void spin(Done done) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::microseconds(20);
  do {
    for (int i = 0; i < 32; i++) {
      if (done()) return;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      __asm__ __volatile__("yield");
#endif
    }
  } while (Clock::now() < end);
}

}  // namespace

Threads::Threads(int count) {
  for (int worker = 1; worker < count; worker++) workers_.emplace_back([this, worker] { serve(worker); });
}

Threads::~Threads() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : workers_) thread.join();
}

void Threads::parallel(size_t tasks, const std::function<void(size_t, int)>& body) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    tasks_ = tasks;
    next_ = 0;
    failure_ = nullptr;
    busy_ = int(workers_.size());
    generation_++;
  }
  wake_.notify_all();
  take(0);
  const auto done = [this] { return busy_ == 0; };
  spin(done);
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, done);
  if (failure_) std::rethrow_exception(failure_);
}

void Threads::serve(int worker) {
  for (size_t seen = 0;;) {
    const auto called = [&] { return stop_ || generation_ != seen; };
    spin(called);
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, called);
      if (stop_) return;
      seen = generation_;
    }
    take(worker);
    std::lock_guard<std::mutex> lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

void Threads::take(int worker) {
  for (;;) {
    const size_t task = next_++;
    if (task >= tasks_) return;
    try {
      (*body_)(task, worker);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = tasks_;
    }
  }
}

}  // namespace warp
