#pragma once
// One GPU as scoring sees it: ops.h on device memory, and around it memory, copies and the order between them.
// Everything is queued and returns at once unless it says that it waits. No CUDA header is needed to use this.
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/dtype.h"
#include "ops/backward.h"

namespace warp {

// How products of float32 matrices are multiplied; everything else is float32, sums are float64.
enum class Precision { kF32, kTF32, kBF16 };

namespace cuda {

struct Stored {  // elements of a tensor, in their own dtype
  const void* data;
  Dtype dtype;
};

// One tensor, or a part of it, between base l and reference r.
struct Merge {
  enum Family {
    kCopy,    // l
    kLerp,    // l + a (r − l)
    kBlend,   // a l + b r
    kMasked,  // l + a (r − l) where keep, else l
    kClip,    // r within [l − a, l + a]
  } family;
  Stored base, reference;
  double a, b;
  const uint8_t* keep;
};

struct MimicShape {
  size_t points, samples, domains, classes, columns;  // columns of one class's gradient: H, and one more for a bias
  bool bias;                                          // the last column's input is 1
};
struct MimicInput {
  // per point: samples × classes, samples × inputs; `stride` floats from point to point
  const float* residual;
  size_t ld_residual, residual_stride;
  const float* hidden;
  size_t ld_hidden, hidden_stride;
  const float* direction;  // points × classes × columns: v_k of the scope; null, with `scores`: not wanted
  const double* scale;     // points: 1 / ‖v_k‖
  const uint32_t* order;   // samples, sorted by domain
  const uint32_t* first;   // domains + 1: where each domain's samples begin in `order`
};
struct MimicOutput {
  double* scores;   // samples × points: −⟨e hᵀ, v⟩ · scale
  double* sums;     // domains × points: Σ of scores; null, with `squares`: not wanted
  double* squares;  // domains × points: Σ of squares of scores
  // Ḡ_dk: the mean of e hᵀ over the samples of domain d at point k, classes × columns. Null, with `mean_squares`: not
  // wanted.
  double* means;  // domains, `means_stride` from one to the next: mean over k of Ḡ_dk
  size_t means_stride;
  double* mean_squares;  // Σ over d and k of Ḡ_dk², element by element
};

// Sums over a pair of tensors, in float64.
struct PairStatistics {
  double base2, reference2, product;  // Σ l², Σ r², Σ l r
  double delta2, delta1, kept1;  // Σ (r − l)², Σ |r − l|, and the latter where keep
  double kept;  // elements where keep
  double largest;  // max |r − l|
};

// Of magnitudes |r − l| rounded to float32, larger first, equal ones by index, the first elements: those above `key`,
// and of those at `key` the ones before `index`.
struct DeviceCut {
  uint32_t key;
  uint64_t index;
};

// Which elements of its tensor an array holds: from `begin` on, or, where rows are given, whole rows of `width`.
struct Place {
  uint64_t begin = 0;
  const uint32_t* rows = nullptr;
  uint64_t width = 1;
};

// Mean gradients of a layer's rows, [weight | bias] each: rows × (inputs + 1). See scoring/gradients.h.
struct GradientShape {
  size_t samples, points, rows, inputs;
};

// Some outputs of dW = dyᵀ x, text by text: sum += dW, square += dW² of every text. Rows first[t] … first[t + 1] − 1
// are text t's. sum, square: outputs × inputs.
struct OuterSample {
  size_t texts;
  const uint32_t* first;
  size_t outputs;
  const uint32_t* output;
  size_t inputs;
  const float* dy;
  size_t lddy;
  const float* x;
  size_t ldx;
  float *sum, *square;
};

enum class Queue { kCompute, kCopy };

// Seconds by the device's own clock.
struct Timeline {
  double uploads = 0;  // that the copy queue uploaded
  double stalls = 0;  // that the compute queue stood still for a mark of the copy queue
};

constexpr size_t kMaxHeadSize = 256;  // of attention

class Backend {
 public:
  // Throws as require_cuda() does.
  static std::unique_ptr<Backend> open(int index, Precision precision, bool timed = false);
  virtual ~Backend() = default;  // waits for what is queued

  // Every thread that calls anything below calls this first.
  virtual void bind() const = 0;
  // The operations, on device memory and without scratch. Texts must not be longer than set_longest() said.
  virtual const Ops& ops() const = 0;
  virtual void set_longest(size_t tokens) = 0;
  // Gradients, on device memory, without dropout and without scratch of their callers: `room` is theirs,
  // gradient_room() floats.
  virtual const GradientOps& gradient_ops() const = 0;
  virtual void set_gradient_room(float* room) = 0;

  // Bytes of device memory that reserve() may be asked for.
  virtual size_t available() const = 0;
  // One block of device memory and one of page-locked host memory, freed with the backend or by the next call.
  // Throws CUDA_OUT_OF_MEMORY.
  virtual void reserve(size_t device_bytes, size_t host_bytes) = 0;
  virtual char* memory() const = 0;
  virtual char* host_memory() const = 0;

  // `from` of an upload in the copy queue must be host_memory() and stay as it is until a mark behind it is passed;
  // otherwise it may be reused at once.
  virtual void upload(void* to, const void* from, size_t bytes, Queue queue) = 0;
  virtual void download(void* to, const void* from, size_t bytes, Queue queue) = 0;  // waits
  // From the memory of another device. What is queued there must have been waited for.
  virtual void receive(void* to, const Backend& other, const void* from, size_t bytes) = 0;

  virtual void clear(void* to, size_t bytes) = 0;  // to zeros

  static constexpr int kMarks = 8;
  virtual void mark(int number, Queue queue) = 0;  // behind what is queued now
  virtual void hold(int number, Queue queue) = 0;  // what is queued from now on waits for the mark
  virtual void wait(int number) = 0;  // waits until the mark is passed
  // Of all so far, where the backend was opened to be timed; waits.
  virtual Timeline timeline() const = 0;

  virtual void merge(const Merge& m, size_t count, void* out, Dtype dtype) = 0;
  virtual void transpose(size_t rows, size_t columns, const float* x, size_t ldx, float* y, size_t ldy) = 0;
  // logits = h Wᵀ + b; W: classes × inputs. In float32 whatever the precision.
  virtual void head_logits(size_t rows, size_t classes, size_t inputs, const float* h, size_t ldh, const float* weight,
                           const float* bias, float* logits, size_t ld) = 0;
  // a = (e W) ⊙ (1 − h²): the gradient before the tanh whose output h is; h null: a = e W
  virtual void pooler_residual(size_t rows, size_t classes, size_t inputs, const float* e, size_t lde,
                               const float* weight, const float* h, size_t ldh, float* a, size_t lda) = 0;
  // By row of `classes` logits: loss = −log softmax(z)[label], residual = softmax(z) − onehot(label).
  virtual void cross_entropy(size_t rows, size_t classes, const float* logits, size_t ld, const int32_t* labels,
                             double* loss, float* residual, size_t lde) = 0;
  // Row t of y = the mean of x's rows offsets[t] … offsets[t + 1] − 1, at least one.
  virtual void mean_rows(size_t texts, const uint32_t* offsets, size_t size, ConstMatrix x, Matrix y) = 0;
  // --- samples of gradients; see kernels.h ---
  virtual void add_outer(const OuterSample& sample) = 0;
  virtual void add_columns(size_t rows, size_t size, const float* x, size_t ldx, float* sum) = 0;
  virtual void spread_rows(size_t texts, const uint32_t* offsets, size_t size, const float* x, float* y) = 0;
  virtual void add_rounded(size_t count, const double* from, float* to) = 0;
  // y −= x
  virtual void subtract(size_t count, const float* x, float* y) = 0;
  // By row of `size` logits z: loss = log Σ e^z − z[target]; with tangents dz (else null) slope, its derivative along
  // them.
  virtual void language_loss(size_t rows, size_t size, ConstMatrix logits, ConstMatrix tangents, const uint32_t* target,
                             double* loss, double* slope) = 0;
  // `first_host`: input.first on the host. See kernels.h.
  virtual void mimic(const MimicShape& shape, const uint32_t* first_host, const MimicInput& input,
                     const MimicOutput& output, void* workspace, size_t workspace_bytes) = 0;

  // --- what a path must know of a pair of tensors, and masks; workspace: pair_workspace(count) bytes ---
  virtual void statistics(Stored l, Stored r, const uint8_t* keep, size_t count, PairStatistics* out, void* workspace,
                          Queue queue) = 0;
  virtual void select_first(Stored l, Stored r, size_t count, uint64_t rank, DeviceCut* out, void* workspace,
                            Queue queue) = 0;
  virtual void mask_between(Stored l, Stored r, Place place, size_t count, DeviceCut from, DeviceCut to, uint8_t* keep,
                            Queue queue) = 0;
  virtual void mask_random(const uint32_t* key, Place place, size_t count, double below, uint8_t* keep,
                           Queue queue) = 0;
  virtual void mask_ranked(const uint32_t* key, Place place, Stored l, Stored r, size_t rows, size_t width, double low,
                           double step, uint8_t* keep, Queue queue) = 0;

  // --- gradients of the head; see kernels.h ---
  virtual void direction(size_t rows, size_t inputs, const float* from, const float* from_bias, const float* to,
                         const float* to_bias, float* out) = 0;
  virtual void gradient_weights(size_t count, const double* mean_squares, double terms, double* weights) = 0;
  virtual void gradient_products(size_t domains, size_t stride, size_t count, const double* means, const float* delta,
                                 const double* weights, double* out, void* workspace) = 0;
  virtual void mean_along(size_t rows, size_t inputs, const double* mean, const double* weights, float* weight,
                          float* bias) = 0;
  virtual void delta_along(size_t rows, size_t inputs, const float* delta, const double* weights, float* weight,
                           float* bias) = 0;
  virtual void add_products(size_t rows, size_t size, const float* x, size_t ldx, const float* y, size_t ldy,
                            double scale, double* out, size_t stride) = 0;
  virtual void gradient_norms(const GradientShape& shape, const float* left, size_t ldl, size_t left_stride,
                              const float* right, size_t ldr, size_t right_stride, const double* weights, double* out,
                              size_t stride) = 0;
};

// Bytes mimic() needs for one point; more lets several points go together, with the same results.
size_t mimic_workspace(const MimicShape& shape, const uint32_t* first_host);
size_t pair_workspace(size_t count);
// Of so many rows with so many heads, or groups, at most.
inline size_t gradient_room(size_t rows, size_t heads) { return 3 * rows * heads; }
size_t products_workspace(size_t domains, size_t count);  // of gradient_products

}  // namespace cuda
}  // namespace warp
