// Element-wise loops and selection of the paths against the copy bandwidth measured in the same run: gigabytes per second
// of what is read and written by one thread, in the thread's own time, so that others on the machine disturb little.
// Prints one JSON object; see cases/paths.mjs.
#include <time.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/threads.h"
#include "paths/constants.h"

using namespace warp;

namespace {

constexpr size_t kCount = size_t(1) << 24, kTask = size_t(1) << 17;

double now() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

template <class Body>
double best(int rounds, Body body) {
  double least = 1e30;
  for (int round = 0; round < rounds; round++) {
    const double start = now();
    body();
    least = std::min(least, now() - start);
  }
  return least;
}

struct Sides {
  Dtype dtype;
  Buffer<char> l, r, out;
};

Sides sides_of(Dtype dtype) {
  const size_t width = dtype_size(dtype);
  Sides sides = {dtype, Buffer<char>(kCount * width), Buffer<char>(kCount * width), Buffer<char>(kCount * width)};
  std::vector<float> l(kCount), r(kCount);
  for (size_t i = 0; i < kCount; i++) {
    l[i] = float(int(i * 2654435761u >> 8) % 20001 - 10000) * 1e-5f;
    r[i] = l[i] + float(int(i * 40503u >> 4) % 4001 - 2000) * 1e-6f;
  }
  paths::kernels().encode(dtype, l.data(), kCount, sides.l.data());
  paths::kernels().encode(dtype, r.data(), kCount, sides.r.data());
  std::memset(sides.out.data(), 0, sides.out.size());
  return sides;
}

// θ of every element into the same dtype, as merge and the forward pass form it: by blocks.
template <class Form>
void form(Threads& threads, Sides& s, Form body) {
  const size_t width = dtype_size(s.dtype);
  threads.parallel(kCount / kTask, [&](size_t task, int) {
    float left[paths::kBlock], right[paths::kBlock], scratch[paths::kBlock];
    const bool plain = s.dtype == Dtype::kF32;  // as PathTensor and merge do: no detour through scratch
    const auto values = [&](Buffer<char>& side, size_t at, float* decoded) -> const float* {
      if (plain) return reinterpret_cast<const float*>(side.data()) + at;
      paths::kernels().decode(s.dtype, side.data() + at * width, paths::kBlock, decoded);
      return decoded;
    };
    for (size_t at = task * kTask; at < (task + 1) * kTask; at += paths::kBlock) {
      float* out = plain ? reinterpret_cast<float*>(s.out.data()) + at : scratch;
      body(values(s.l, at, left), values(s.r, at, right), out);
      paths::kernels().encode(s.dtype, out, paths::kBlock, s.out.data() + at * width);
    }
  });
}

void measure(Threads& threads, Dtype dtype, int rounds, double copy) {
  Sides s = sides_of(dtype);
  const double bytes = double(kCount) * double(dtype_size(dtype)) * 3;
  const paths::Kernels& k = paths::kernels();
  const double lerp = best(rounds, [&] {
    form(threads, s, [&](const float* l, const float* r, float* out) { k.lerp(l, r, 0.3, paths::kBlock, out); });
  });
  const double blend = best(rounds, [&] {
    form(threads, s, [&](const float* l, const float* r, float* out) { k.blend(l, r, 0.7, 0.4, paths::kBlock, out); });
  });
  const double clip = best(rounds, [&] {
    form(threads, s, [&](const float* l, const float* r, float* out) { k.clip(l, r, 1e-3, paths::kBlock, out); });
  });
  PathOptions options;
  options.family = "ties";
  paths::PairSource pair;
  pair.name = "t";
  pair.elements = pair.width = kCount;
  pair.fetch = [&](uint64_t begin, size_t count, float* l, float* r) {
    if (dtype == Dtype::kF32)
      return paths::Values{reinterpret_cast<const float*>(s.l.data()) + begin, reinterpret_cast<const float*>(s.r.data()) + begin};
    k.decode(dtype, s.l.data() + begin * dtype_size(dtype), count, l);
    k.decode(dtype, s.r.data() + begin * dtype_size(dtype), count, r);
    return paths::Values{l, r};
  };
  const paths::Runner run = [&](size_t tasks, const std::function<void(size_t)>& body) {
    threads.parallel(tasks, [&](size_t task, int) { body(task); });
  };
  const double ties = best(rounds, [&] { paths::find_constants(pair, options, run); });
  std::printf(",\"%s\":{\"lerp\":%.3g,\"blend\":%.3g,\"clip\":%.3g,\"lerpOfCopy\":%.3g,\"selectionOfLerp\":%.3g}",
              dtype_name(dtype), bytes / lerp / 1e9, bytes / blend / 1e9, bytes / clip / 1e9, bytes / lerp / 1e9 / copy,
              ties / lerp);
}

}  // namespace

int main(int count, char** args) {
  const int rounds = count > 1 ? std::atoi(args[1]) : 5;
  Threads threads(1);
  Buffer<char> from(kCount * 4), to(kCount * 4);
  std::memset(from.data(), 1, from.size());
  std::memset(to.data(), 2, to.size());
  const double seconds = best(rounds, [&] {
    threads.parallel(kCount / kTask, [&](size_t task, int) {
      std::memcpy(to.data() + task * kTask * 4, from.data() + task * kTask * 4, kTask * 4);
    });
  });
  const double copy = double(kCount) * 8 / seconds / 1e9;
  std::printf("{\"kernels\":\"%s\",\"copy\":%.3g", paths::kernels().name, copy);
  for (Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBF16}) measure(threads, dtype, rounds, copy);
  std::printf("}\n");
}
