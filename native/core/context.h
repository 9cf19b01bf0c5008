#pragma once
// What long work may ask of its caller: "shall I stop?" and "this much is done".
#include <atomic>
#include <cstdint>
#include <functional>

#include "core/error.h"

namespace warp {

class Context {
 public:
  bool cancelled() const {
    if (looks_left_.load(std::memory_order_relaxed) && looks_left_.fetch_sub(1) == 1) cancel_ = true;
    return cancel_.load(std::memory_order_relaxed) || (parent && parent->cancelled());
  }
  void cancel() { cancel_.store(true, std::memory_order_relaxed); }
  // For tests: cancelled from the n-th time on that somebody looks, n ≥ 1. Every point where work may stop is a look.
  void cancel_at_look(uint64_t n) { looks_left_ = n; }
  void check() const {
    if (cancelled()) throw Cancelled();
  }
  // Any thread. Units are the caller's; `done` never goes back (the binding drops what does).
  void progress(double done, double total) {
    check();
    tell(done, total);
  }
  // The same without a look: for a place where what is done must be told whole first.
  void tell(double done, double total) {
    if (report) report(done, total);
  }
  const Context* parent = nullptr;  // work that this is a part of: cancelled together
  std::function<void(double done, double total)> report;  // set before the work starts; must be thread-safe

 private:
  mutable std::atomic<bool> cancel_{false};
  mutable std::atomic<uint64_t> looks_left_{0};  // 0: nobody counts
};

}  // namespace warp
