#pragma once
// The CPU's kernels for one instruction set, as a table. The same sources (product.inc, normalize.inc,
// attention.inc) are compiled once per set by isa_*.cc; nothing inline may be shared between those files, or the
// linker could hand AVX-512 code to a processor without it. Hence no headers of the standard library there.
#include <cstddef>
#include <cstdint>

namespace warp::cpu {

struct Kernels {
  const char* name;
  size_t panel;  // outputs per packed panel
  void (*pack_outputs)(size_t inputs, size_t first, size_t count, const float* rows, size_t ld, float* packed);
  void (*pack_inputs)(size_t outputs, size_t inputs, size_t first, size_t count, const float* rows, size_t ld,
                      float* packed);
  size_t (*linear_scratch)(size_t inputs);
  void (*linear)(size_t rows, size_t outputs, size_t inputs, const float* x, size_t ldx, const float* packed,
                 const float* bias, int act, float* y, size_t ldy, float* scratch);
  void (*layer_norm)(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr,
                     const float* gain, const float* bias, float eps, float* y, size_t ldy);
  void (*add)(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy);
  void (*embed)(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index,
                float* y, size_t ldy);
  size_t (*attention_scratch)(size_t longest, size_t head_size);
  void (*attention)(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                    const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
                    float* out, size_t ldo, float* scratch);
};

extern const Kernels portable_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

}  // namespace warp::cpu
