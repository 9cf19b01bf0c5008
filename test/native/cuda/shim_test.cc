// The shim itself: it must run correct kernels and catch the mistakes it is there for.
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "ops/cuda/device_math.h"
#include "ops/cuda/runtime.h"

using namespace warp::cuda;

static std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

static void reversed(int n, const float* in, float* out) {
  WARP_SHARED(float, room, 64);
  const int i = int(threadIdx.x), base = int(blockIdx.x) * 64;
  if (base + i < n) room[i] = in[base + i];
  __syncthreads();
  if (base + 63 - i < n) out[base + 63 - i] = room[63 - i];
}

TEST(threads_blocks_and_shared_memory_work) {
  std::vector<float> in(100), out(100, -1.0f);
  for (int i = 0; i < 100; i++) in[i] = float(i);
  const float* from = in.data();
  float* to = out.data();
  WARP_LAUNCH(reversed, 2, 64, 0, nullptr, 100, from, to);
  for (int i = 0; i < 100; i++) CHECK(out[i] == float(i));
}

static void grid_index(unsigned* out) {
  out[(blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] =
      threadIdx.z * 100 + threadIdx.y * 10 + threadIdx.x + blockDim.x * 1000;
}
TEST(grids_and_blocks_have_three_dimensions) {
  std::vector<unsigned> out(2 * 3 * 4, 0);
  unsigned* to = out.data();
  WARP_LAUNCH(grid_index, dim3(2, 3, 4), dim3(3, 2, 2), 0, nullptr, to);
  for (unsigned value : out) CHECK(value == 112 + 3000);  // the last thread of every block
}

static void sums(const double* in, double* out) {
  WARP_SHARED(double, room, 4);
  const double total = block_sum<128>(in[threadIdx.x], room);
  if (threadIdx.x == 0) *out = total;
}
TEST(warp_and_block_sums) {
  std::vector<double> in(128);
  for (int i = 0; i < 128; i++) in[i] = 1 << (i % 20);
  double expected = 0, out = 0;
  for (double x : in) expected += x;
  const double* from = in.data();
  double* to = &out;
  for (bool reverse : {false, true}) {
    shim::reverse_order(reverse);
    WARP_LAUNCH(sums, 1, 128, 0, nullptr, from, to);
    CHECK(out == expected);
  }
  shim::reverse_order(false);
}

static void ballots(unsigned* out) { out[threadIdx.x] = __ballot_sync(kWholeWarp, threadIdx.x % 3 == 0); }
TEST(a_ballot_has_a_bit_per_lane) {
  std::vector<unsigned> out(32);
  unsigned* to = out.data();
  WARP_LAUNCH(ballots, 1, 32, 0, nullptr, to);
  for (unsigned bits : out) CHECK(bits == 0x49249249u);
}

static void divergent(int n) {
  if (int(threadIdx.x) < n) __syncthreads();
}
static void two_barriers() {
  if (threadIdx.x < 32) __syncthreads();
  else __syncthreads();
}
static void lost_lane(float* out) {
  if (threadIdx.x == 7) return;
  *out = warp_sum(1.0f);
}
TEST(barriers_in_divergent_code_are_errors) {
  float value = 0, *to = &value;
  CHECK(error_of([&] { WARP_LAUNCH(divergent, 1, 64, 0, nullptr, 63); }).find("not every thread") != std::string::npos);
  CHECK(error_of([&] { WARP_LAUNCH(divergent, 1, 64, 0, nullptr, 64); }).empty());
  CHECK(!error_of([&] { WARP_LAUNCH(two_barriers, 1, 64, 0, nullptr); }).empty());
  CHECK(!error_of([&] { WARP_LAUNCH(lost_lane, 1, 32, 0, nullptr, to); }).empty());
}

static void unwritten(float* out) {
  WARP_SHARED(float, room, 8);
  *out = room[3];
}
static void overrun() {
  WARP_SHARED(float, room, 8);
  room[8] = 1.0f;
}
static void dynamic_overrun() {
  WARP_SHARED_BYTES(room);
  room[100] = 1;
}
static void missing_barrier(float* out) {
  WARP_SHARED(float, room, 32);
  room[threadIdx.x] = 1.0f;
  out[threadIdx.x] = room[31 - threadIdx.x];
}
TEST(misused_shared_memory_shows) {
  float value = 0, *to = &value;
  WARP_LAUNCH(unwritten, 1, 32, 0, nullptr, to);
  CHECK(std::isnan(value));
  CHECK(error_of([&] { WARP_LAUNCH(overrun, 1, 1, 0, nullptr); }).find("beside shared") != std::string::npos);
  CHECK(!error_of([&] { WARP_LAUNCH(dynamic_overrun, 1, 1, 100, nullptr); }).empty());
  std::vector<float> out(32);
  to = out.data();
  WARP_LAUNCH(missing_barrier, 1, 32, 0, nullptr, to);
  CHECK(std::isnan(out[0]) && out[31] == 1.0f);
}

static void reused_too_early(const double* in, double* out) {
  WARP_SHARED(double, room, 4);
  const double first = block_sum<128>(in[threadIdx.x], room);  // no barrier before the room is used again
  const double second = block_sum<128>(2 * in[threadIdx.x], room);
  if (threadIdx.x == 0) *out = second - 2 * first;
}
TEST(a_warp_that_runs_ahead_of_another_shows) {
  const std::vector<double> in(128, 1.0);
  const double* from = in.data();
  bool shown = false;
  for (bool reverse : {false, true}) {
    double out = 0, *to = &out;
    shim::reverse_order(reverse);
    WARP_LAUNCH(reused_too_early, 1, 128, 0, nullptr, from, to);
    shown = shown || out != 0;
  }
  shim::reverse_order(false);
  CHECK(shown);
}

static void write_one(float value, float* out) { *out = value; }
TEST(late_streams_do_only_what_they_must) {
  using shim::Late;
  for (Late late : {Late::kNone, Late::kAll, Late::kFirst, Late::kSecond}) {
    shim::late_streams(late);
    const Stream first, second;
    const Event event;
    const Array<float> there(2);
    const Pinned<float> here(1);
    here.data()[0] = 1;
    upload(there.data(), here.data(), 1, first);
    event.record(first);
    WARP_LAUNCH(write_one, 1, 1, 0, second, 2.0f, there.data());  // without waiting: a race
    here.data()[0] = 3;                                           // while it may still be read: another
    first.wait();
    second.wait();
    const float raced = *there.data();
    CHECK(raced == (late == Late::kSecond ? 2 : late == Late::kNone ? 2 : late == Late::kFirst ? 3 : 2));
    upload(there.data() + 1, here.data(), 1, first);
    event.record(first);
    event.hold(second);
    WARP_LAUNCH(write_one, 1, 1, 0, second, 4.0f, there.data() + 1);
    second.wait();
    CHECK(there.data()[1] == 4);
  }
  shim::late_streams(Late::kNone);
}

TEST(device_memory_is_counted_poisoned_and_bounded) {
  const size_t before = shim::memory_in_use();
  {
    const Array<float> a(1000);
    CHECK(shim::memory_in_use() == before + 4000 && device_bytes() == 4000);
    CHECK(std::isnan(a.data()[0]) && std::isnan(a.data()[999]));
  }
  CHECK(shim::memory_in_use() == before && device_bytes() == 0);
  shim::machine().memory = 100;
  try {
    const Array<float> a(26);
    CHECK(false);
  } catch (const warp::Error& error) {
    CHECK(error.code == "CUDA_OUT_OF_MEMORY" && error.kind == warp::Kind::kResource);
  }
  shim::machine().memory = size_t(1) << 30;
}

TEST_MAIN
