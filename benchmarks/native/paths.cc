// Element-wise loops of the paths as shares of the copy bandwidth measured in the same run (what is read and written by
// one thread, in the thread's own time, so that others on the machine disturb little), and the selection of ties as a
// multiple of one linear pass. Prints one JSON object; see cases/paths.mjs.
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

// Seconds for θ of every element into the same dtype, as `warp merge` forms it.
double form(Threads& threads, Sides& s, int rounds, const paths::Formula& formula, const uint8_t* keep) {
  const paths::Kernels& k = paths::kernels();
  const size_t width = dtype_size(s.dtype);
  return best(rounds, [&] {
    threads.parallel(kCount / kTask, [&](size_t task, int) {
      const size_t begin = task * kTask;
      char *l = s.l.data() + begin * width, *r = s.r.data() + begin * width, *out = s.out.data() + begin * width;
      if (width == 2) {
        k.merge(s.dtype, formula, l, r, keep + begin, kTask, out);
        return;
      }
      const float *left = reinterpret_cast<const float*>(l), *right = reinterpret_cast<const float*>(r);
      float* to = reinterpret_cast<float*>(out);
      for (size_t at = 0; at < kTask; at += paths::kBlock) {
        switch (formula.family) {
          case paths::Formula::kBlend:
            k.blend(left + at, right + at, formula.a, formula.b, paths::kBlock, to + at);
            break;
          case paths::Formula::kClip: k.clip(left + at, right + at, formula.a, paths::kBlock, to + at); break;
          case paths::Formula::kMasked:
            k.masked(left + at, right + at, keep + begin + at, formula.a, paths::kBlock, to + at);
            break;
          default: k.lerp(left + at, right + at, formula.a, paths::kBlock, to + at);
        }
        k.encode(s.dtype, to + at, paths::kBlock, out + at * width);  // finds what is not finite
      }
    });
  });
}

void measure(Threads& threads, Dtype dtype, int rounds, double copy) {
  Sides s = sides_of(dtype);
  const double bytes = double(kCount) * double(dtype_size(dtype)) * 3;
  const paths::Kernels& k = paths::kernels();
  std::vector<uint8_t> keep(kCount);
  for (size_t i = 0; i < kCount; i++) keep[i] = i * 2654435761u % 10 != 0;
  const double lerp = form(threads, s, rounds, {paths::Formula::kLerp, 0.3, 0}, keep.data());
  const double masked = form(threads, s, rounds, {paths::Formula::kMasked, 0.3, 0}, keep.data());
  const double blend = form(threads, s, rounds, {paths::Formula::kBlend, 0.7, 0.4}, keep.data());
  const double clip = form(threads, s, rounds, {paths::Formula::kClip, 1e-3, 0}, keep.data());
  PathOptions options;
  options.family = "ties";
  paths::PairSource pair;
  pair.name = "t";
  pair.elements = pair.width = kCount;
  pair.fetch = [&](uint64_t begin, size_t count, float* l, float* r) {
    k.decode(dtype, s.l.data() + begin * dtype_size(dtype), count, l);
    k.decode(dtype, s.r.data() + begin * dtype_size(dtype), count, r);
    return paths::Values{l, r};
  };
  pair.stored = [&](uint64_t begin) {
    return paths::StoredPair{dtype, s.l.data() + begin * dtype_size(dtype), s.r.data() + begin * dtype_size(dtype)};
  };
  const paths::Runner run = [&](size_t tasks, const std::function<void(size_t)>& body) {
    threads.parallel(tasks, [&](size_t task, int) { body(task); });
  };
  const double ties = best(rounds, [&] { paths::find_constants(pair, options, run); });
  const auto share = [&](double seconds, double more) { return (bytes + more) / seconds / 1e9 / copy; };
  std::printf(",\"%s\":{\"lerp\":%.3g,\"masked\":%.3g,\"blend\":%.3g,\"clip\":%.3g,\"selectionOfLerp\":%.3g}",
              dtype_name(dtype), share(lerp, 0), share(masked, kCount), share(blend, 0), share(clip, 0), ties / lerp);
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
