// θ = M(base, reference), element by element (method, section 2), with the bits of native/paths: computed in float64
// without contraction, rounded once to float32, then to the stored dtype.
//   copy    l                      lerp   l − w (l − r)        blend  a l + b r
//   masked  lerp where keep, else l        clip   r within [l − t, l + t]
// A thread takes 8 elements: 16 bytes a load and store for 16-bit dtypes, twice 16 for float32. Where an array does
// not begin on 16 bytes, and for the last few elements, it takes them singly.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/stored.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256;

template <Merge::Family kFamily>
__device__ __forceinline__ float merged(float left, float right, bool keep, double a, double b) {
  const double l = left, r = right;
  if (kFamily == Merge::kCopy) return left;
  if (kFamily == Merge::kBlend) return float(__dadd_rn(__dmul_rn(a, l), __dmul_rn(b, r)));
  if (kFamily == Merge::kClip) {
    const double low = __dsub_rn(l, a), high = __dadd_rn(l, a), floor = r > low ? r : low;
    return float(floor < high ? floor : high);
  }
  if (kFamily == Merge::kMasked && !keep) return left;
  return float(__dsub_rn(l, __dmul_rn(a, __dsub_rn(l, r))));  // −0 stays −0 where both are
}

template <Merge::Family kFamily>
__global__ void __launch_bounds__(kThreads)
    merge_kernel(Merge m, size_t count, bool aligned, void* out, Dtype out_dtype) {
  constexpr bool kPair = kFamily != Merge::kCopy, kMask = kFamily == Merge::kMasked;
  const size_t begin = (blockIdx.x * size_t(kThreads) + threadIdx.x) * kLot;
  if (begin >= count) return;
  float l[kLot], r[kLot] = {};
  if (aligned && begin + kLot <= count) {
    load_lot(m.base.data, m.base.dtype, begin, l);
    if (kPair) load_lot(m.reference.data, m.reference.dtype, begin, r);
#pragma unroll
    for (int j = 0; j < kLot; j++) l[j] = merged<kFamily>(l[j], r[j], !kMask || m.keep[begin + j], m.a, m.b);
    store_lot(out, out_dtype, begin, l);
    return;
  }
  for (size_t i = begin; i < begin + kLot && i < count; i++) {
    const float left = load_one(m.base.data, m.base.dtype, i);
    const float right = kPair ? load_one(m.reference.data, m.reference.dtype, i) : 0.0f;
    store_one(out, out_dtype, i, merged<kFamily>(left, right, !kMask || m.keep[i], m.a, m.b));
  }
}

template <Merge::Family kFamily>
void run(const Merge& m, size_t count, void* out, Dtype dtype, cudaStream_t stream) {
  const bool aligned =
      aligned16(m.base.data) && aligned16(out) && (kFamily == Merge::kCopy || aligned16(m.reference.data));
  WARP_LAUNCH(merge_kernel<kFamily>, blocks_of(count, size_t(kThreads) * kLot), kThreads, 0, stream, m, count, aligned,
              out, dtype);
}

}  // namespace

void merge(const Merge& m, size_t count, void* out, Dtype dtype, cudaStream_t stream) {
  switch (m.family) {
    case Merge::kCopy: return run<Merge::kCopy>(m, count, out, dtype, stream);
    case Merge::kLerp: return run<Merge::kLerp>(m, count, out, dtype, stream);
    case Merge::kBlend: return run<Merge::kBlend>(m, count, out, dtype, stream);
    case Merge::kMasked: return run<Merge::kMasked>(m, count, out, dtype, stream);
    case Merge::kClip: return run<Merge::kClip>(m, count, out, dtype, stream);
  }
}

}  // namespace warp::cuda
