#pragma once
// The CPU's kernels for one instruction set, as a table. The same sources (*.inc) are compiled once per set by
// isa_*.cc; nothing inline may be shared between those files, or the linker could hand AVX-512 code to a processor
// without it. Hence no headers of the standard library there.
#include <cstddef>
#include <cstdint>

#include "ops/calls.h"

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
  // r (null: none) is added to x first
  void (*norm)(const NormCall& call, const float* x, size_t ldx, const float* r, size_t ldr, float* y, size_t ldy);
  void (*norm_tangent)(const NormCall& call, const NormTangent& along, float* dy, size_t lddy);
  void (*rope)(const RopeCall& call, const float* x, size_t ldx, float* y, size_t ldy);
  void (*add)(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy);
  void (*embed)(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index,
                float* y, size_t ldy);
  size_t (*attention_scratch)(size_t longest, size_t head_size);
  size_t (*attention_tangent_scratch)(size_t longest, size_t head_size);
  void (*attention)(const AttentionCall& call, float* out, size_t ldo, float* scratch);
  void (*attention_step)(const StepCall& call, float* out, size_t ldo, float* scores);
  void (*attention_tangent)(const AttentionCall& call, const AttentionTangents& along, float* scratch);
  void (*activate)(int act, size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy);
  void (*activate_slope)(int act, size_t rows, size_t size, ConstMatrix x, ConstMatrix dx, Matrix dy);
  void (*multiply)(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y);
  void (*multiply_add)(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y);
  void (*softcap)(size_t rows, size_t size, float cap, ConstMatrix x, Matrix y);
  void (*softcap_slope)(size_t rows, size_t size, float cap, ConstMatrix y, ConstMatrix dx, Matrix dy);
  void (*scale)(size_t rows, size_t size, float factor, Matrix x);
  void (*scatter_add)(size_t rows, size_t size, ConstMatrix x, const uint32_t* index, Matrix y);
  void (*cross_entropy)(size_t rows, size_t size, ConstMatrix logits, const uint32_t* target, double* loss,
                        float weight, Matrix e);
  void (*row_dots)(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, double* dots);
};

extern const Kernels portable_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

}  // namespace warp::cpu
