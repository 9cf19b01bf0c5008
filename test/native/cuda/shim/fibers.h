#pragma once
// CUDA kernels executed on the CPU: one block after the other, one fiber per CUDA thread. A thread runs until it
// meets a barrier (of its block or its warp) or ends; barriers open when all who must come are there. What cannot
// come any more, a barrier in divergent code, is an error, as is a touched guard around shared memory. Shared
// memory starts as NaNs. Not covered: races between blocks, the memory model, tensor cores, speed.
#include <cstdint>
#include <functional>
#include <string>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace shim {

struct Site {  // where in the source a barrier stands
  const char* file;
  int line;
  bool operator==(const Site& other) const { return line == other.line && file == other.file; }
};

// Threads of a block, and blocks of a grid, run from last to first: what depends on the order shows.
void reverse_order(bool reverse);

void launch(dim3 grid, dim3 block, size_t dynamic_bytes, const std::function<void()>& kernel);
uint64_t launches();  // so far

void block_barrier(Site site);
// Value of `lane` among the warp's lanes in `mask`, all of which must come to this site.
uint64_t exchange(Site site, unsigned mask, uint64_t value, int lane);
uint64_t own_lane();
// Bit per lane of `mask` whose value is not 0.
unsigned ballot(Site site, unsigned mask, bool value);
void* shared_memory(Site site, size_t bytes);
void* dynamic_memory();

}  // namespace shim
