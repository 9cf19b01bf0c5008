// Steps prepared while the one before is worked on: every task once, what it needs before it, failures told.
#include "core/steps.h"

#include <memory>
#include <stdexcept>

#include "check.h"

using namespace warp;

struct Seen {
  explicit Seen(const StepTasks& t)
      : prepared(t.steps), worked(t.steps), ready(t.steps), prepare_once(t.steps * t.prepares),
        work_once(t.steps * t.works) {}
  std::vector<std::atomic<size_t>> prepared, worked, ready, prepare_once, work_once;
};

TEST(steps_run_in_order_without_a_wait_between) {
  for (int count : {1, 2, 5}) {
    Threads threads(count);
    for (size_t steps : {0, 1, 2, 7})
      for (size_t prepares : {1, 3})
        for (size_t works : {0, 1, 2, 9}) {
          StepTasks t;
          t.steps = steps;
          t.prepares = prepares;
          t.works = works;
          Seen seen(t);
          std::atomic<int> wrong{0};
          t.prepare = [&](size_t step, size_t task) {
            // the place is free: all that read it is done
            if (step >= 2 && seen.worked[step - 2] != works) wrong++;
            if (seen.ready[step] != 0) wrong++;
            seen.prepare_once[step * prepares + task]++;
            seen.prepared[step]++;
          };
          t.prepared = [&](size_t step) {
            if (seen.prepared[step] != prepares) wrong++;
            seen.ready[step]++;
          };
          t.work = [&](size_t step, size_t task, int worker) {
            if (seen.ready[step] != 1 || worker < 0 || worker >= count) wrong++;
            seen.work_once[step * works + task]++;
            seen.worked[step]++;
          };
          run_steps(threads, t);
          CHECK(wrong == 0);
          for (const auto& times : seen.prepare_once) CHECK(times == 1);
          for (const auto& times : seen.work_once) CHECK(times == 1);
          for (const auto& times : seen.ready) CHECK(times == 1);
        }
  }
}

TEST(a_failed_step_ends_all_of_them) {
  for (int count : {1, 2, 5})
    for (int where : {0, 1, 2}) {
      Threads threads(count);
      StepTasks t;
      t.steps = 6;
      t.prepares = 2;
      t.works = 5;
      const auto fail = [&](int here, size_t step) {
        if (here == where && step == 3) throw std::runtime_error("here");
      };
      t.prepare = [&](size_t step, size_t) { fail(0, step); };
      t.prepared = [&](size_t step) { fail(1, step); };
      t.work = [&](size_t step, size_t, int) { fail(2, step); };
      std::string told;
      try {
        run_steps(threads, t);
      } catch (const std::runtime_error& error) {
        told = error.what();
      }
      CHECK(told == "here");
    }
}

TEST_MAIN
