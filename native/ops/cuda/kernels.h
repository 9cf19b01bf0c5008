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

// --- statistics.cu ---
// keep may be null: every element then counts as kept. workspace: statistics_workspace(count) bytes.
size_t statistics_workspace(size_t count);
void pair_statistics(Stored l, Stored r, const uint8_t* keep, size_t count, PairStatistics* out, void* workspace,
                     cudaStream_t stream);

// --- select.cu ---
// The cut that holds the first `rank` of count elements. workspace: select_workspace(count) bytes.
size_t select_workspace(size_t count);
void select_first(Stored l, Stored r, size_t count, uint64_t rank, DeviceCut* out, void* workspace,
                  cudaStream_t stream);
// keep[i] = 1 where element i is before cut `to` and not before cut `from`, else 0. Nothing is before {~0, 0}.
void mask_between(Stored l, Stored r, Place place, size_t count, DeviceCut from, DeviceCut to, uint8_t* keep,
                  cudaStream_t stream);

// --- mask.cu: random masks with the bits of core/random.h; key: Random::key(), word i: that of the tensor's element
// --- keep[i] = word < below, in float64
void mask_random(const uint32_t* key, Place place, size_t count, double below, uint8_t* keep, cudaStream_t stream);
// Row by row: keep[i] = word < (low + step · r) · 2³², r the ascending rank of the magnitude in its row.
void mask_ranked(const uint32_t* key, Place place, Stored l, Stored r, size_t rows, size_t width, double low,
                 double step, uint8_t* keep, cudaStream_t stream);

// --- activate.cu ---
// y = act(y + bias); bias (size) may be null
void activate(size_t rows, size_t size, const float* bias, Activation act, float* y, size_t ldy, cudaStream_t stream);
// as in ops.h
void activate(Activation act, size_t rows, size_t size, ConstMatrix x, Matrix y, cudaStream_t stream);
void activate_slope(Activation act, size_t rows, size_t size, ConstMatrix x, ConstMatrix dx, Matrix dy,
                    cudaStream_t stream);
void multiply(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y, cudaStream_t stream);
void multiply_add(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y, cudaStream_t stream);
void softcap(size_t rows, size_t size, float cap, ConstMatrix x, Matrix y, cudaStream_t stream);
void softcap_slope(size_t rows, size_t size, float cap, ConstMatrix y, ConstMatrix dx, Matrix dy, cudaStream_t stream);
void scale(size_t rows, size_t size, float factor, Matrix x, cudaStream_t stream);
// y −= x
void subtract(size_t count, const float* x, float* y, cudaStream_t stream);

// --- norm.cu: as in ops.h; r, added to x first, may be null ---
void norm(const NormCall& call, ConstMatrix x, ConstMatrix r, Matrix y, cudaStream_t stream);
void norm_tangent(const NormCall& call, const NormTangent& along, Matrix dy, cudaStream_t stream);
void layer_norm(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr, const float* gain,
                const float* bias, float eps, float* y, size_t ldy, cudaStream_t stream);

// --- rows.cu: as in ops.h ---
void add(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy, cudaStream_t stream);
constexpr size_t kMaxTables = 4;
// tables and index are host arrays of device pointers; count ≤ kMaxTables
void embed(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index, float* y,
           size_t ldy, cudaStream_t stream);
// Row i of y = row index[i] of x, or row i where index is null; x and y do not overlap.
void gather(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y, size_t ldy,
            cudaStream_t stream);
// Row t of y = the mean of x's rows offsets[t] … offsets[t + 1] − 1, at least one.
void mean_rows(size_t texts, const uint32_t* offsets, size_t size, ConstMatrix x, Matrix y, cudaStream_t stream);
// y (columns × rows, leading dimension ldy) = xᵀ
void transpose(size_t rows, size_t columns, const float* x, size_t ldx, float* y, size_t ldy, cudaStream_t stream);
void scatter_add(size_t rows, size_t size, ConstMatrix x, const uint32_t* index, Matrix y, cudaStream_t stream);
void rope(const RopeCall& call, ConstMatrix x, Matrix y, cudaStream_t stream);

// --- attention.cu, attention_tangent.cu: as in ops.h; longest: tokens of the longest text; head_size ≤ kMaxHeadSize;
// no dropout ---
void attention(const AttentionCall& call, size_t longest, Matrix out, cudaStream_t stream);
void attention_tangent(const AttentionCall& call, const AttentionTangents& along, size_t longest, cudaStream_t stream);
void attention(size_t texts, size_t longest, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
               const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
               float* out, size_t ldo, cudaStream_t stream);

// --- norm_backward.cu, attention_backward.cu: as in backward.h, written in this order; stats: 2 · rows · groups
// floats, 3 · rows of q · heads ---
void norm_backward(const NormCall& call, ConstMatrix x, const NormGradients& d, float* stats, cudaStream_t stream);
void attention_backward(const AttentionCall& call, const AttentionGradients& d, size_t longest, float* stats,
                        cudaStream_t stream);

// --- samples.cu ---
void add_outer(const OuterSample& sample, cudaStream_t stream);
// sum += the rows' sum, float64 rounded once
void add_columns(size_t rows, size_t size, const float* x, size_t ldx, float* sum, cudaStream_t stream);
// Every row of text t of y = row t of x / the text's rows; without gaps.
void spread_rows(size_t texts, const uint32_t* offsets, size_t size, const float* x, float* y, cudaStream_t stream);
// to += from, rounded
void add_rounded(size_t count, const double* from, float* to, cudaStream_t stream);

// --- loss.cu ---
// By row of `classes` logits: loss = −log softmax(z)[label], residual = softmax(z) − onehot(label). loss (rows) may be
// null. A label < 0 has no class: its loss is 0 and its residual the probabilities.
void cross_entropy(size_t rows, size_t classes, const float* logits, size_t ld, const int32_t* labels, double* loss,
                   float* residual, size_t lde, cudaStream_t stream);

// as in ops.h
void cross_entropy(size_t rows, size_t size, ConstMatrix logits, const uint32_t* target, double* loss, float weight,
                   Matrix e, cudaStream_t stream);
void row_dots(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, double* dots, cudaStream_t stream);

// By row of `size` logits z, with tangents dz or null: loss = log Σ e^z − z[target]; slope = its derivative along dz,
// Σ (softmax(z) − onehot(target)) dz, where there are some.
void language_loss(size_t rows, size_t size, ConstMatrix logits, ConstMatrix tangents, const uint32_t* target,
                   double* loss, double* slope, cudaStream_t stream);

// --- head.cu ---
// logits = h Wᵀ + b; W: classes × inputs
void head_logits(size_t rows, size_t classes, size_t inputs, const float* h, size_t ldh, const float* weight,
                 const float* bias, float* logits, size_t ld, cudaStream_t stream);
// a = (e W) ⊙ (1 − h²): the gradient before the tanh whose output h is; h null: a = e W
void pooler_residual(size_t rows, size_t classes, size_t inputs, const float* e, size_t lde, const float* weight,
                     const float* h, size_t ldh, float* a, size_t lda, cudaStream_t stream);

// --- mimic.cu ---
// `first_host`: the same as input.first, on the host. workspace: at least mimic_workspace() bytes.
void mimic(const MimicShape& shape, const uint32_t* first_host, const MimicInput& input, const MimicOutput& output,
           void* workspace, size_t workspace_bytes, cudaStream_t stream);

// --- gradients.cu: of rows × (inputs + 1) elements, [weight | bias] by row; see scoring/gradients.h ---
// out = to − from
void direction(size_t rows, size_t inputs, const float* from, const float* from_bias, const float* to,
               const float* to_bias, float* out, cudaStream_t stream);
// weights = 1/u², u² = mean_squares / terms; 0 where u is
void gradient_weights(size_t count, const double* mean_squares, double terms, double* weights, cudaStream_t stream);
// out: (domains + 1)², the lower triangle: inner products over `count` elements of A_d = mean_d √weights, and of δ as
// the last. weights null: all 1. workspace: products_workspace() bytes.
void gradient_products(size_t domains, size_t stride, size_t count, const double* means, const float* delta,
                       const double* weights, double* out, void* workspace, cudaStream_t stream);
// [weight | bias] = mean · weights, or delta · √weights; weights null: all 1
void mean_along(size_t rows, size_t inputs, const double* mean, const double* weights, float* weight, float* bias,
                cudaStream_t stream);
void delta_along(size_t rows, size_t inputs, const float* delta, const double* weights, float* weight, float* bias,
                 cudaStream_t stream);
// out[i · stride] += scale · ⟨x_i, y_i⟩ by row
void add_products(size_t rows, size_t size, const float* x, size_t ldx, const float* y, size_t ldy, double scale,
                  double* out, size_t stride, cudaStream_t stream);
// out[i · stride] = Σ (mean over points of left_i [right_i | 1]ᵀ)² · weights, i a sample; weights null: all 1.
// left, right: samples × rows, samples × inputs; `…_stride` floats from point to point
void gradient_norms(const GradientShape& shape, const float* left, size_t ldl, size_t left_stride, const float* right,
                    size_t ldr, size_t right_stride, const double* weights, double* out, size_t stride,
                    cudaStream_t stream);

}  // namespace warp::cuda
