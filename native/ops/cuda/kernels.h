#pragma once
// Entry points of the kernels: what they compute is said here, how in the file of the same family. All pointers are
// device memory; matrices are row-major float32 with a leading dimension; everything is queued on `stream`. Sums
// run in an order fixed by the shapes alone: the same bits in every run and on every GPU of one architecture.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "ops/cuda/backend.h"

namespace warp::cuda {

// --- paths.cu ---
void merge(const Merge& m, size_t count, void* out, Dtype dtype, cudaStream_t stream);

// --- activate.cu ---
// y = act(y + bias); bias (size) may be null
void activate(size_t rows, size_t size, const float* bias, Activation act, float* y, size_t ldy, cudaStream_t stream);

// --- normalize.cu: as in ops.h ---
void layer_norm(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr, const float* gain,
                const float* bias, float eps, float* y, size_t ldy, cudaStream_t stream);
void add(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy, cudaStream_t stream);
constexpr size_t kMaxTables = 4;
// tables and index are host arrays of device pointers; count ≤ kMaxTables
void embed(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index, float* y,
           size_t ldy, cudaStream_t stream);
// Row i of y = row index[i] of x, or row i where index is null; x and y do not overlap.
void gather(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y, size_t ldy,
            cudaStream_t stream);
// y (columns × rows, leading dimension ldy) = xᵀ
void transpose(size_t rows, size_t columns, const float* x, size_t ldx, float* y, size_t ldy, cudaStream_t stream);

// --- attention.cu: as in ops.h; longest: tokens of the longest text; head_size ≤ kMaxHeadSize ---
constexpr size_t kMaxHeadSize = 256;
void attention(size_t texts, size_t longest, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
               const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
               float* out, size_t ldo, cudaStream_t stream);

// --- loss.cu ---
// By row of `classes` logits: loss = −log softmax(z)[label], residual = softmax(z) − onehot(label). loss (rows) may be
// null. A label < 0 has no class: its loss is 0 and its residual the probabilities.
void cross_entropy(size_t rows, size_t classes, const float* logits, size_t ld, const int32_t* labels, double* loss,
                   float* residual, size_t lde, cudaStream_t stream);

// --- mimic.cu ---
// `first_host`: the same as input.first, on the host. workspace: at least mimic_workspace() bytes.
void mimic(const MimicShape& shape, const uint32_t* first_host, const MimicInput& input, const MimicOutput& output,
           void* workspace, size_t workspace_bytes, cudaStream_t stream);

}  // namespace warp::cuda
