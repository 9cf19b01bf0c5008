#include "core/steps.h"

namespace warp {
namespace {

class Steps {
 public:
  explicit Steps(const StepTasks& tasks)
      : t_(tasks), preparing_(tasks.steps, tasks.prepares), working_(tasks.steps, tasks.works) {}

  // Tasks in the order in which they are given out: the first step's `prepare`; then of every step half of its work,
  // the next one's `prepare`, the other half. A task waits only for such as were given out before it.
  void run(size_t task, int worker) {
    if (task < t_.prepares) return prepare(0, task);
    task -= t_.prepares;
    const size_t each = t_.prepares + t_.works, step = task / each, at = task % each, half = t_.works / 2;
    if (at < half) work(step, at, worker);
    else if (at >= half + t_.prepares) work(step, at - t_.prepares, worker);
    else if (step + 1 < t_.steps) prepare(step + 1, at - half);
  }
  size_t count() const { return t_.steps == 0 ? 0 : t_.prepares + t_.steps * (t_.prepares + t_.works); }

 private:
  void prepare(size_t step, size_t task) {
    if (step >= 2 && !wait(working_[step - 2])) return;
    guard([&] {
      t_.prepare(step, task);
      std::unique_lock<std::mutex> lock(mutex_);
      if (preparing_[step] == 1 && t_.prepared) {
        lock.unlock();
        t_.prepared(step);
        lock.lock();
      }
      if (--preparing_[step] == 0) changed_.notify_all();
    });
  }

  void work(size_t step, size_t task, int worker) {
    if (!wait(preparing_[step])) return;
    guard([&] {
      t_.work(step, task, worker);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--working_[step] == 0) changed_.notify_all();
    });
  }

  // Whether to go on: not where a task has failed.
  bool wait(const size_t& left) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return left == 0 || failed_; });
    return !failed_;
  }

  template <class Body>
  void guard(Body body) {
    try {
      body();
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      failed_ = true;
      changed_.notify_all();
      throw;
    }
  }

  const StepTasks& t_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<size_t> preparing_, working_;  // tasks left, by step
  bool failed_ = false;
};

}  // namespace

void run_steps(Threads& threads, const StepTasks& tasks) {
  Steps steps(tasks);
  threads.parallel(steps.count(), [&](size_t task, int worker) { steps.run(task, worker); });
}

}  // namespace warp
