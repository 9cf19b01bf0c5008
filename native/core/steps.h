#pragma once
// Steps whose tasks need what the step prepares, without a wait between two steps: while the last tasks of one are
// worked on, the next is prepared and begun.
#include "core/threads.h"

namespace warp {

struct StepTasks {
  size_t steps = 0, prepares = 0, works = 0;  // prepares, works: tasks of each step
  // What these write has two places: step % 2. They run when all work of step − 2 is done.
  std::function<void(size_t step, size_t task)> prepare;
  std::function<void(size_t step)> prepared;  // once, behind a step's last `prepare`; may be empty
  std::function<void(size_t step, size_t task, int worker)> work;
};

// The first exception is rethrown after the others have stopped taking tasks.
void run_steps(Threads& threads, const StepTasks& tasks);

}  // namespace warp
