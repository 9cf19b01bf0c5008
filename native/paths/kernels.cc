// Picks the loops of this processor.
#include "paths/kernels.h"

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace warp::paths {
namespace {

const Kernels& pick() {
  const char* asked = std::getenv("WARP_ISA");
  const std::string name = asked ? asked : "";
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  const bool has512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has512 && (name.empty() || name == "avx512")) return avx512_kernels;
  if (has2 && (name.empty() || name == "avx2")) return avx2_kernels;
#endif
  if (name.empty() || name == "portable") return portable_kernels;
  throw Error(Kind::kUsage, "ISA_UNAVAILABLE", "WARP_ISA=" + name + ": this processor or build has no such kernels",
              "use avx512, avx2 or portable, or unset it");
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& picked = pick();
  return picked;
}

}  // namespace warp::paths
