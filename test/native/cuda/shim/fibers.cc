#include "fibers.h"

#include <setjmp.h>
#include <ucontext.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace shim {
namespace {

constexpr size_t kStack = 64 << 10, kGuard = 64;

enum class State { kReady, kBlockBarrier, kWarpBarrier, kIdle };

// Stacks are made by makecontext, which is slow, once; from then on _setjmp and _longjmp switch between them.
struct Fiber {
  ucontext_t context;
  jmp_buf place;
  bool begun = false;
  std::unique_ptr<char[]> stack{new char[kStack]};
  State state = State::kIdle;
  unsigned thread = 0;  // linear index in the block
  Site site{};
  unsigned mask = 0;
};

struct Shared {  // an array with guards on both sides
  Site site;
  std::vector<unsigned char> bytes;
  size_t size;
  Shared(Site site, size_t size) : site(site), bytes(size + 2 * kGuard, 0xC5), size(size) {
    std::memset(data(), 0xFF, size);
  }
  void* data() { return bytes.data() + kGuard; }
  bool intact() const {
    for (size_t i = 0; i < kGuard; i++)
      if (bytes[i] != 0xC5 || bytes[kGuard + size + i] != 0xC5) return false;
    return true;
  }
};

class Block {
 public:
  void run(size_t dynamic_bytes, const std::function<void()>& kernel) {
    kernel_ = &kernel;
    threads_ = blockDim.x * blockDim.y * blockDim.z;
    started_ = finished_ = used_ = 0;
    failure_.clear();
    shared_.clear();
    dynamic_ = std::make_unique<Shared>(Site{"dynamic shared memory", 0}, dynamic_bytes);
    slots_.assign((threads_ + 31) / 32 * 64, 0);
    parity_.assign(threads_, 0);
    while (finished_ < threads_) step();
    if (!dynamic_->intact()) fail("wrote beside dynamic shared memory", dynamic_->site);
    for (const auto& array : shared_)
      if (!array->intact()) fail("wrote beside shared memory", array->site);
    if (failure_.empty()) return;
    fibers_.clear();  // some stand in the middle of a kernel
    throw std::runtime_error(failure_);
  }

  void wait(State state, Site site, unsigned mask) {
    Fiber* self = current_;
    self->state = state;
    self->site = site;
    self->mask = mask;
    leave(*self);
  }

  uint64_t exchange(Site site, unsigned mask, uint64_t value, int lane) {
    const unsigned thread = current_->thread, parity = parity_[thread] ^= 1;
    if (!(mask >> (thread % 32) & 1)) stop("a lane outside its own mask", site);
    // two sets of slots in turn: nobody can be two exchanges ahead
    uint64_t* slots = &slots_[(thread / 32 * 2 + parity) * 32];
    slots[thread % 32] = value;
    wait(State::kWarpBarrier, site, mask);
    const bool there = lane >= 0 && lane < 32 && (mask >> lane & 1);
    return there ? slots[lane] : value;
  }
  const uint64_t* slots() const { return &slots_[(current_->thread / 32 * 2 + parity_[current_->thread]) * 32]; }
  unsigned thread() const { return current_->thread; }

  void* shared_memory(Site site, size_t bytes) {
    for (const auto& array : shared_)
      if (array->site == site && array->size == bytes) return array->data();
    shared_.push_back(std::make_unique<Shared>(site, bytes));
    return shared_.back()->data();
  }
  void* dynamic_memory() { return dynamic_->data(); }

  bool reverse = false;

 private:
  // A warp, fibers [begin, end): runs what can run, or opens its barriers that are complete. False: neither.
  bool run_warp(size_t begin, size_t end) {
    bool ran = false;
    for (size_t i = begin; i < end; i++)
      if (fibers_[i]->state == State::kReady) {
        resume(*fibers_[i]);
        ran = true;
      }
    return ran || open_warp_barriers(begin, end);
  }

  // Takes one warp after the other as far as it comes, as unfairly as a GPU may: what races with a slower warp shows.
  void step() {
    bool moved = false;
    while (started_ < threads_) {
      if (used_ == fibers_.size()) fibers_.push_back(std::make_unique<Fiber>());
      resume(*fibers_[used_++]);
      moved = true;
    }
    for (size_t i = 0, end = 0; i < used_; i = end) {
      while (end < used_ && fibers_[end]->thread / 32 == fibers_[i]->thread / 32) end++;
      while (run_warp(i, end)) moved = true;
    }
    if (open_block_barrier() || moved || finished_ == threads_) return;
    for (size_t i = 0; i < used_; i++)
      if (fibers_[i]->state != State::kIdle) fail("a barrier that not every thread reaches", fibers_[i]->site);
    finished_ = threads_;
  }

  bool open_block_barrier() {
    unsigned waiting = 0;
    Site site{};
    for (size_t i = 0; i < used_; i++) {
      if (fibers_[i]->state != State::kBlockBarrier) continue;
      if (waiting++ == 0) site = fibers_[i]->site;
      if (!(fibers_[i]->site == site)) return false;
    }
    if (waiting != threads_) return false;
    for (size_t i = 0; i < used_; i++)
      if (fibers_[i]->state == State::kBlockBarrier) fibers_[i]->state = State::kReady;
    return true;
  }

  bool open_warp_barriers(size_t begin, size_t end) {
    bool opened = false;
    for (size_t i = begin; i < end; i++) {
      if (fibers_[i]->state != State::kWarpBarrier) continue;
      const unsigned warp = fibers_[i]->thread / 32, mask = fibers_[i]->mask;
      const Site site = fibers_[i]->site;
      const auto here = [&](const Fiber& f) {
        return f.state == State::kWarpBarrier && f.thread / 32 == warp && f.mask == mask && f.site == site;
      };
      unsigned come = 0;
      for (size_t j = i; j < end; j++)
        if (here(*fibers_[j])) come |= 1u << fibers_[j]->thread % 32;
      if (come != mask) continue;
      for (size_t j = i; j < end; j++)
        if (here(*fibers_[j])) fibers_[j]->state = State::kReady;
      opened = true;
    }
    return opened;
  }

  void resume(Fiber& fiber) {
    current_ = &fiber;
    if (fiber.state != State::kIdle) set_thread(fiber);
    fiber.state = State::kReady;
    if (_setjmp(main_) != 0) return;
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &Block::enter, 0);
    setcontext(&fiber.context);
  }

  void leave(Fiber& fiber) {
    if (_setjmp(fiber.place) == 0) _longjmp(main_, 1);
  }

  void set_thread(const Fiber& fiber) {
    const unsigned t = fiber.thread;
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
  }

  // A fiber takes threads as long as they end without waiting.
  static void enter();
  [[noreturn]] void serve() {
    Fiber* self = current_;
    for (;;) {
      take_threads(self);
      self->state = State::kIdle;
      leave(*self);
    }
  }
  void take_threads(Fiber* self) {
    while (started_ < threads_) {
      self->thread = reverse ? threads_ - 1 - started_ : started_;
      started_++;
      set_thread(*self);
      (*kernel_)();
      finished_++;
    }
  }

  void fail(const char* what, Site site) {
    if (failure_.empty()) failure_ = std::string(what) + " at " + site.file + ":" + std::to_string(site.line);
  }
  void stop(const char* what, Site site) {
    fail(what, site);
    wait(State::kWarpBarrier, site, 0);  // never opens
  }

  const std::function<void()>* kernel_ = nullptr;
  jmp_buf main_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* current_ = nullptr;
  size_t used_ = 0;
  unsigned threads_ = 0, started_ = 0, finished_ = 0;
  std::vector<std::unique_ptr<Shared>> shared_;
  std::unique_ptr<Shared> dynamic_;
  std::vector<uint64_t> slots_;
  std::vector<unsigned char> parity_;
  std::string failure_;
};

Block block;
std::mutex one_launch;
uint64_t count = 0;

void Block::enter() { block.serve(); }

}  // namespace

void reverse_order(bool reverse) { block.reverse = reverse; }
uint64_t launches() { return count; }

void launch(dim3 grid, dim3 threads, size_t dynamic_bytes, const std::function<void()>& kernel) {
  const std::lock_guard<std::mutex> lock(one_launch);
  const size_t size = size_t(threads.x) * threads.y * threads.z;
  if (size == 0 || size > 1024) throw std::runtime_error("a block of " + std::to_string(size) + " threads");
  if (grid.y > 65535 || grid.z > 65535) throw std::runtime_error("a grid too tall or too deep");
  if (dynamic_bytes > 48 << 10) throw std::runtime_error("more than 48 KiB of dynamic shared memory");
  count++;
  gridDim = grid;
  blockDim = threads;
  const size_t blocks = size_t(grid.x) * grid.y * grid.z;
  for (size_t i = 0; i < blocks; i++) {
    const size_t b = block.reverse ? blocks - 1 - i : i;
    blockIdx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
    block.run(dynamic_bytes, kernel);
  }
}

void block_barrier(Site site) { block.wait(State::kBlockBarrier, site, 0); }

uint64_t exchange(Site site, unsigned mask, uint64_t value, int lane) {
  return block.exchange(site, mask, value, lane);
}

uint64_t own_lane() { return block.thread() % 32; }

unsigned ballot(Site site, unsigned mask, bool value) {
  block.exchange(site, mask, value, 0);
  unsigned bits = 0;
  for (int lane = 0; lane < 32; lane++)
    if (mask >> lane & 1 && block.slots()[lane]) bits |= 1u << lane;
  return bits;
}

void* shared_memory(Site site, size_t bytes) { return block.shared_memory(site, bytes); }
void* dynamic_memory() { return block.dynamic_memory(); }

}  // namespace shim
