#pragma once
// A pool of workers that take numbered tasks from one queue. Who takes what is not defined; where results go is.
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace warp {

class Threads {
 public:
  explicit Threads(int count);  // ≥ 1; the calling thread is worker 0
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return int(workers_.size()) + 1; }
  // Runs body(task, worker) for task in [0, tasks); returns when all are done. The first exception is rethrown
  // here after the others have stopped taking tasks. Not reentrant.
  void parallel(size_t tasks, const std::function<void(size_t task, int worker)>& body);

 private:
  void serve(int worker);
  void take(int worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(size_t, int)>* body_ = nullptr;
  size_t tasks_ = 0;
  std::atomic<size_t> next_{0}, generation_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  std::exception_ptr failure_;
};

}  // namespace warp
