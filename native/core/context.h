#pragma once
// What long work may ask of its caller: "shall I stop?" and "this much is done".
#include <atomic>
#include <functional>

#include "core/error.h"

namespace warp {

class Context {
 public:
  bool cancelled() const { return cancel_.load(std::memory_order_relaxed) || (parent && parent->cancelled()); }
  void cancel() { cancel_.store(true, std::memory_order_relaxed); }
  void check() const {
    if (cancelled()) throw Cancelled();
  }
  // Any thread. Units are the caller's; `done` never goes back (the binding drops what does).
  void progress(double done, double total) {
    check();
    if (report) report(done, total);
  }
  const Context* parent = nullptr;  // work that this is a part of: cancelled together
  std::function<void(double done, double total)> report;  // set before the work starts; must be thread-safe

 private:
  std::atomic<bool> cancel_{false};
};

}  // namespace warp
