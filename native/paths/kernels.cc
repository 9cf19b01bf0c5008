// Picks the loops of this processor.
#include "paths/kernels.h"

#include "ops/ops.h"

namespace warp::paths {
namespace {

const Kernels& pick() {
#if defined(__x86_64__)
  const std::string isa = cpu_isa();
  if (isa == "avx512") return avx512_kernels;
  if (isa == "avx2") return avx2_kernels;
#endif
  return portable_kernels;
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& picked = pick();
  return picked;
}

}  // namespace warp::paths
