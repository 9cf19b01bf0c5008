#pragma once
// The element-wise loops of the path families, compiled once per instruction set. They compute in double precision and
// round once to float32 (merge, between 16-bit dtypes, in float32), all without contraction: every instruction set
// gives the same bits.
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace warp::paths {

constexpr size_t kBlock = 2048;  // elements that stay in the first-level cache between two loops

struct Sums {  // of one block: reductions in double, in a fixed order
  double ll = 0, rr = 0, lr = 0;
};

struct Split {  // of magnitudes, by a range of them
  size_t above = 0, inside = 0;
};

struct Member {  // of the range: which element it is, its magnitude's bits
  uint32_t place, key;
};

// How θ comes from base l and reference r.
struct Formula {
  enum Family {
    kBase,       // l
    kReference,  // r
    kLerp,       // l + a (r − l)
    kBlend,      // a l + b r
    kMasked,     // l + a (r − l) where kept, else l
    kClip,       // r within [l − a, l + a]
    kCheckpoint,  // number a of a trajectory's
  } family;
  double a, b;
};

struct Kernels {
  const char* name;
  // Stored values to float32, any alignment; F64 is rounded.
  void (*decode)(Dtype dtype, const void* from, size_t count, float* to);
  // float32 to stored values, to nearest even. Returns the first element that is not finite afterwards, or count.
  size_t (*encode)(Dtype dtype, const float* from, size_t count, void* to);
  void (*lerp)(const float* l, const float* r, double w, size_t count, float* out);            // l + w (r − l)
  void (*blend)(const float* l, const float* r, double a, double b, size_t count, float* out);  // a l + b r
  // l + w (r − l) where keep[i] is 1, l where it is 0
  void (*masked)(const float* l, const float* r, const uint8_t* keep, double w, size_t count, float* out);
  // r where |r − l| ≤ t, else l ± t towards r
  void (*clip)(const float* l, const float* r, double t, size_t count, float* out);
  // kLerp, kBlend, kMasked or kClip between elements that are F16 or BF16 on both sides, to the same dtype, to nearest
  // even of the value in float32; any alignment. `keep` of kMasked. Returns the first element that is not finite
  // afterwards, or count.
  size_t (*merge)(Dtype dtype, const Formula& formula, const void* l, const void* r, const uint8_t* keep, size_t count,
                  void* out);
  // Bits of |r − l| rounded to float32: ordered as the magnitudes are.
  void (*magnitudes)(const float* l, const float* r, size_t count, uint32_t* keys);
  // keep[i] = keys[i] > key, or keys[i] == key and first + i < index
  void (*before)(const uint32_t* keys, uint32_t key, uint64_t index, uint64_t first, size_t count, uint8_t* keep);
  // Counts the elements, stored as F32, F16 or BF16 on both sides, whose magnitudes lie above `high` and from `low` to
  // `high`; lists the latter in order, unless `members` is null.
  Split (*split)(Dtype dtype, const void* l, const void* r, size_t count, uint32_t low, uint32_t high, Member* members);
  Sums (*sums)(const float* l, const float* r, size_t count);
  double (*largest)(const float* l, const float* r, size_t count);  // max |r − l|
  double (*total)(const float* l, const float* r, size_t count);    // Σ |r − l|
  double (*kept)(const float* l, const float* r, const uint8_t* keep, size_t count);  // Σ |r − l| where kept
  // Four words of each of `blocks` Philox blocks from `first` on (core/random.h).
  void (*words)(const uint32_t key[2], uint64_t first, size_t blocks, uint32_t* out);
};

// Those of cpu_isa().
const Kernels& kernels();

extern const Kernels portable_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

}  // namespace warp::paths
