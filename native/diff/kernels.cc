// Picks the loops of this processor.
#include "diff/kernels.h"

#include "ops/ops.h"

namespace warp::diff {
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

// Asked for by each row: found once.
const Kernels& kernels() {
  static const Kernels& picked = pick();
  return picked;
}

}  // namespace warp::diff
