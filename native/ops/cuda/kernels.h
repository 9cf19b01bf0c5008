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

// --- statistics.cu: of a pair of tensors, in float64 ---
struct PairStatistics {
  double base2, reference2, product;  // Σ l², Σ r², Σ l r
  double delta2, delta1, kept1;       // Σ (r − l)², Σ |r − l|, and the latter where keep
  double largest;                     // max |r − l|
};
// keep may be null: kept1 is then delta1. workspace: statistics_workspace(count) bytes.
size_t statistics_workspace(size_t count);
void pair_statistics(Stored l, Stored r, const uint8_t* keep, size_t count, PairStatistics* out, void* workspace,
                     cudaStream_t stream);

// --- select.cu: magnitudes |r − l| rounded to float32, larger first, equal ones by index ---
struct DeviceCut {  // the first elements in that order: those above `key`, and of those at `key` the ones before `index`
  uint32_t key;
  uint64_t index;
};
// The cut that holds the first `rank` of count elements. workspace: select_workspace(count) bytes.
size_t select_workspace(size_t count);
void select_first(Stored l, Stored r, size_t count, uint64_t rank, DeviceCut* out, void* workspace, cudaStream_t stream);
// keep[i] = 1 where element i is before cut `to` and not before cut `from` (null: nothing is), else 0.
void mask_between(Stored l, Stored r, size_t count, const DeviceCut* from, const DeviceCut* to, uint8_t* keep,
                  cudaStream_t stream);

// --- mask.cu: random masks with the bits of core/random.h; key: Random::key() ---
// keep[i] = word(begin + i) < below, in float64
void mask_random(uint32_t key0, uint32_t key1, uint64_t begin, size_t count, double below, uint8_t* keep,
                 cudaStream_t stream);
// Row by row: keep[i] = word(begin + i) < (low + step · r) · 2³², r the ascending rank of the magnitude in its row.
void mask_ranked(uint32_t key0, uint32_t key1, uint64_t begin, Stored l, Stored r, size_t rows, size_t width, double low,
                 double step, uint8_t* keep, cudaStream_t stream);

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

// --- head.cu ---
// logits = h Wᵀ + b; W: classes × inputs
void head_logits(size_t rows, size_t classes, size_t inputs, const float* h, size_t ldh, const float* weight,
                 const float* bias, float* logits, size_t ld, cudaStream_t stream);
// a = (e W) ⊙ (1 − h²): the gradient before the tanh whose output h is
void pooler_residual(size_t rows, size_t classes, size_t inputs, const float* e, size_t lde, const float* weight,
                     const float* h, size_t ldh, float* a, size_t lda, cudaStream_t stream);

// --- mimic.cu ---
// `first_host`: the same as input.first, on the host. workspace: at least mimic_workspace() bytes.
void mimic(const MimicShape& shape, const uint32_t* first_host, const MimicInput& input, const MimicOutput& output,
           void* workspace, size_t workspace_bytes, cudaStream_t stream);

}  // namespace warp::cuda
