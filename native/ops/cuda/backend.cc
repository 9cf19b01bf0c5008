#include "ops/cuda/backend.h"

#include <algorithm>
#include <list>
#include <tuple>
#include <vector>

#include "ops/cuda/device.h"
#include "ops/cuda/kernels.h"
#include "ops/cuda/product.h"

namespace warp::cuda {
namespace {

constexpr size_t kSlack = size_t(128) << 20;  // left to the driver, cuBLAS and others

class CudaOps : public Ops {
 public:
  CudaOps(Precision precision, cudaStream_t stream) : products_(precision), stream_(stream) {}
  const char* name() const override { return "cuda"; }
  size_t longest = 0;

  // packed: the weight as it is stored, outputs × inputs
  size_t packed_size(size_t outputs, size_t inputs) const override { return outputs * inputs; }
  size_t panel() const override { return 1; }
  void pack_outputs(size_t, size_t inputs, size_t first, size_t count, const float* rows, size_t ld,
                    float* packed) const override {
    cuda::gather(count, inputs, rows, ld, nullptr, packed + first * inputs, inputs, stream_);
  }
  void pack_inputs(size_t outputs, size_t inputs, size_t first, size_t count, const float* rows, size_t ld,
                   float* packed) const override {
    cuda::transpose(count, outputs, rows, ld, packed + first, inputs, stream_);
  }
  size_t block_rows() const override { return 16384; }
  size_t linear_scratch(size_t) const override { return 0; }
  size_t attention_scratch(size_t, size_t) const override { return 0; }

  void linear(size_t rows, size_t outputs, size_t inputs, const float* x, size_t ldx, const float* packed,
              const float* bias, Activation act, float* y, size_t ldy, float*) const override {
    products_.linear(rows, outputs, inputs, x, ldx, packed, bias, act, y, ldy, stream_);
  }
  void layer_norm(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr, const float* gain,
                  const float* bias, float eps, float* y, size_t ldy) const override {
    cuda::layer_norm(rows, size, x, ldx, r, ldr, gain, bias, eps, y, ldy, stream_);
  }
  void add(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy) const override {
    cuda::add(rows, size, x, ldx, y, ldy, stream_);
  }
  void attention(size_t texts, const uint32_t* offsets, size_t heads, size_t head_size, bool causal,
                 const uint32_t* queries, const float* q, size_t ldq, const float* k, const float* v, size_t ldkv,
                 float* out, size_t ldo, float*) const override {
    cuda::attention(texts, longest, offsets, heads, head_size, causal, queries, q, ldq, k, v, ldkv, out, ldo, stream_);
  }
  void gather(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y,
              size_t ldy) const override {
    cuda::gather(rows, size, x, ldx, index, y, ldy, stream_);
  }
  void embed(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index, float* y,
             size_t ldy) const override {
    cuda::embed(rows, size, count, tables, index, y, ldy, stream_);
  }

  size_t attention_tangent_scratch(size_t, size_t) const override { return 0; }
  void norm(const NormCall& call, const float* x, size_t ldx, float* y, size_t ldy) const override {
    cuda::norm(call, {x, ldx}, {nullptr, 0}, {y, ldy}, stream_);
  }
  void norm_tangent(const NormCall& call, const NormTangent& along, float* dy, size_t lddy) const override {
    cuda::norm_tangent(call, along, {dy, lddy}, stream_);
  }
  void rope(const RopeCall& call, const float* x, size_t ldx, float* y, size_t ldy) const override {
    cuda::rope(call, {x, ldx}, {y, ldy}, stream_);
  }
  void attention(const AttentionCall& call, float* out, size_t ldo, float*) const override {
    cuda::attention(call, longest, {out, ldo}, stream_);
  }
  void attention_tangent(const AttentionCall& call, const AttentionTangents& along, float*) const override {
    cuda::attention_tangent(call, along, longest, stream_);
  }
  void activate(Activation act, size_t rows, size_t size, const float* x, size_t ldx, float* y,
                size_t ldy) const override {
    cuda::activate(act, rows, size, {x, ldx}, {y, ldy}, stream_);
  }
  void activate_slope(Activation act, size_t rows, size_t size, ConstMatrix x, ConstMatrix dx,
                      Matrix dy) const override {
    cuda::activate_slope(act, rows, size, x, dx, dy, stream_);
  }
  void multiply(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y) const override {
    cuda::multiply(rows, size, a, b, y, stream_);
  }
  void multiply_add(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, Matrix y) const override {
    cuda::multiply_add(rows, size, a, b, y, stream_);
  }
  void softcap(size_t rows, size_t size, float cap, ConstMatrix x, Matrix y) const override {
    cuda::softcap(rows, size, cap, x, y, stream_);
  }
  void softcap_slope(size_t rows, size_t size, float cap, ConstMatrix y, ConstMatrix dx, Matrix dy) const override {
    cuda::softcap_slope(rows, size, cap, y, dx, dy, stream_);
  }
  void scale(size_t rows, size_t size, float factor, Matrix x) const override {
    cuda::scale(rows, size, factor, x, stream_);
  }
  void scatter_add(size_t rows, size_t size, ConstMatrix x, const uint32_t* index, Matrix y) const override {
    cuda::scatter_add(rows, size, x, index, y, stream_);
  }
  void cross_entropy(size_t rows, size_t size, ConstMatrix logits, const uint32_t* target, double* loss, float weight,
                     Matrix e) const override {
    cuda::cross_entropy(rows, size, logits, target, loss, weight, e, stream_);
  }
  void row_dots(size_t rows, size_t size, ConstMatrix a, ConstMatrix b, double* dots) const override {
    cuda::row_dots(rows, size, a, b, dots, stream_);
  }

 private:
  mutable Products products_;  // remembers plans
  const cudaStream_t stream_;
};

class CudaGradientOps : public GradientOps {
 public:
  CudaGradientOps(const CudaOps& ops, cudaStream_t stream) : ops_(ops), stream_(stream) {}
  float* room = nullptr;

  size_t attention_scratch(size_t, size_t) const override { return 0; }
  void layer_norm_backward(size_t rows, size_t size, const float* x, size_t ldx, const float* gain, float eps,
                           const float* dy, size_t lddy, float* dx, size_t lddx, double* dgain,
                           double* dbias) const override {
    norm_backward({rows, size, 1, true, eps, 0, gain, nullptr}, x, ldx, {dy, lddy, dx, lddx, dgain, dbias});
  }
  void norm_backward(const NormCall& call, const float* x, size_t ldx, const NormGradients& d) const override {
    cuda::norm_backward(call, {x, ldx}, d, room, stream_);
  }
  void attention_backward(const AttentionCall& call, const AttentionGradients& d, float*) const override {
    cuda::attention_backward(call, d, ops_.longest, room, stream_);
  }
  void dropout(size_t, size_t, const Dropout&, const uint32_t*, const uint32_t*, float*, size_t) const override {
    throw internal_error("there is no dropout on CUDA");
  }
  void clear(size_t count, float* x) const override {
    if (count) check(cudaMemsetAsync(x, 0, count * sizeof(float), stream_), "cudaMemset");
  }

 private:
  const CudaOps& ops_;
  const cudaStream_t stream_;
};

// The device stays the thread's own from before the streams are made.
struct Bound {
  explicit Bound(int index) { check(cudaSetDevice(index), "cudaSetDevice"); }
};

class CudaBackend : public Backend {
 public:
  CudaBackend(int index, Precision precision, bool timed)
      : index_(index), bound_(index), timed_(timed), ops_(precision, compute_), gradient_ops_(ops_, compute_) {}
  ~CudaBackend() override {
    cudaSetDevice(index_);
    cudaStreamSynchronize(copy_);  // what fails here has failed before, and been reported
    cudaStreamSynchronize(compute_);
  }

  void bind() const override { check(cudaSetDevice(index_), "cudaSetDevice"); }
  const Ops& ops() const override { return ops_; }
  void set_longest(size_t tokens) override { ops_.longest = tokens; }
  const GradientOps& gradient_ops() const override { return gradient_ops_; }
  void set_gradient_room(float* room) override { gradient_ops_.room = room; }

  size_t available() const override {
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    free += memory_.size();
    return free > kSlack ? free - kSlack : 0;
  }
  void reserve(size_t device_bytes, size_t host_bytes) override {
    memory_ = Array<char>();
    host_ = Pinned<char>();
    memory_ = Array<char>(device_bytes);
    host_ = Pinned<char>(host_bytes);
  }
  char* memory() const override { return memory_.data(); }
  char* host_memory() const override { return host_.data(); }

  void upload(void* to, const void* from, size_t bytes, Queue queue) override {
    const Timed timed(*this, queue == Queue::kCopy ? &uploads_ : nullptr, queue);
    cuda::upload(static_cast<char*>(to), static_cast<const char*>(from), bytes, stream(queue));
    if (queue == Queue::kCompute) check(cudaStreamSynchronize(compute_), "upload");
  }
  void download(void* to, const void* from, size_t bytes, Queue queue) override {
    cuda::download(static_cast<char*>(to), static_cast<const char*>(from), bytes, stream(queue));
    check(cudaStreamSynchronize(stream(queue)), "download");
  }
  void receive(void* to, const Backend& other, const void* from, size_t bytes) override {
    const int there = static_cast<const CudaBackend&>(other).index_;
    if (bytes) check(cudaMemcpyPeerAsync(to, index_, from, there, bytes, compute_), "between devices");
  }
  void clear(void* to, size_t bytes) override {
    if (bytes) check(cudaMemsetAsync(to, 0, bytes, compute_), "cudaMemset");
  }
  void mark(int number, Queue queue) override { marks_[number].record(stream(queue)); }
  void hold(int number, Queue queue) override {
    const Timed timed(*this, queue == Queue::kCompute ? &stalls_ : nullptr, queue);
    marks_[number].hold(stream(queue));
  }
  void wait(int number) override { marks_[number].wait(); }
  Timeline timeline() const override {
    compute_.wait();
    copy_.wait();
    Timeline t;
    for (const auto& [begin, end] : uploads_) t.uploads += begin.until(end);
    for (const auto& [begin, end] : stalls_) t.stalls += begin.until(end);
    return t;
  }

  void merge(const Merge& m, size_t count, void* out, Dtype dtype) override {
    cuda::merge(m, count, out, dtype, compute_);
  }
  void transpose(size_t rows, size_t columns, const float* x, size_t ldx, float* y, size_t ldy) override {
    cuda::transpose(rows, columns, x, ldx, y, ldy, compute_);
  }
  void head_logits(size_t rows, size_t classes, size_t inputs, const float* h, size_t ldh, const float* weight,
                   const float* bias, float* logits, size_t ld) override {
    cuda::head_logits(rows, classes, inputs, h, ldh, weight, bias, logits, ld, compute_);
  }
  void pooler_residual(size_t rows, size_t classes, size_t inputs, const float* e, size_t lde, const float* weight,
                       const float* h, size_t ldh, float* a, size_t lda) override {
    cuda::pooler_residual(rows, classes, inputs, e, lde, weight, h, ldh, a, lda, compute_);
  }
  void cross_entropy(size_t rows, size_t classes, const float* logits, size_t ld, const int32_t* labels, double* loss,
                     float* residual, size_t lde) override {
    cuda::cross_entropy(rows, classes, logits, ld, labels, loss, residual, lde, compute_);
  }
  void mean_rows(size_t texts, const uint32_t* offsets, size_t size, ConstMatrix x, Matrix y) override {
    cuda::mean_rows(texts, offsets, size, x, y, compute_);
  }
  void add_outer(const OuterSample& sample) override { cuda::add_outer(sample, compute_); }
  void add_columns(size_t rows, size_t size, const float* x, size_t ldx, float* sum) override {
    cuda::add_columns(rows, size, x, ldx, sum, compute_);
  }
  void spread_rows(size_t texts, const uint32_t* offsets, size_t size, const float* x, float* y) override {
    cuda::spread_rows(texts, offsets, size, x, y, compute_);
  }
  void add_rounded(size_t count, const double* from, float* to) override {
    cuda::add_rounded(count, from, to, compute_);
  }
  void subtract(size_t count, const float* x, float* y) override { cuda::subtract(count, x, y, compute_); }
  void language_loss(size_t rows, size_t size, ConstMatrix logits, ConstMatrix tangents, const uint32_t* target,
                     double* loss, double* slope) override {
    cuda::language_loss(rows, size, logits, tangents, target, loss, slope, compute_);
  }
  void mimic(const MimicShape& shape, const uint32_t* first_host, const MimicInput& input, const MimicOutput& output,
             void* workspace, size_t workspace_bytes) override {
    cuda::mimic(shape, first_host, input, output, workspace, workspace_bytes, compute_);
  }

  void statistics(Stored l, Stored r, const uint8_t* keep, size_t count, PairStatistics* out, void* workspace,
                  Queue queue) override {
    pair_statistics(l, r, keep, count, out, workspace, stream(queue));
  }
  void select_first(Stored l, Stored r, size_t count, uint64_t rank, DeviceCut* out, void* workspace,
                    Queue queue) override {
    cuda::select_first(l, r, count, rank, out, workspace, stream(queue));
  }
  void mask_between(Stored l, Stored r, Place place, size_t count, DeviceCut from, DeviceCut to, uint8_t* keep,
                    Queue queue) override {
    cuda::mask_between(l, r, place, count, from, to, keep, stream(queue));
  }
  void mask_random(const uint32_t* key, Place place, size_t count, double below, uint8_t* keep, Queue queue) override {
    cuda::mask_random(key, place, count, below, keep, stream(queue));
  }
  void mask_ranked(const uint32_t* key, Place place, Stored l, Stored r, size_t rows, size_t width, double low,
                   double step, uint8_t* keep, Queue queue) override {
    cuda::mask_ranked(key, place, l, r, rows, width, low, step, keep, stream(queue));
  }

  void direction(size_t rows, size_t inputs, const float* from, const float* from_bias, const float* to,
                 const float* to_bias, float* out) override {
    cuda::direction(rows, inputs, from, from_bias, to, to_bias, out, compute_);
  }
  void gradient_weights(size_t count, const double* mean_squares, double terms, double* weights) override {
    cuda::gradient_weights(count, mean_squares, terms, weights, compute_);
  }
  void gradient_products(size_t domains, size_t stride, size_t count, const double* means, const float* delta,
                         const double* weights, double* out, void* workspace) override {
    cuda::gradient_products(domains, stride, count, means, delta, weights, out, workspace, compute_);
  }
  void mean_along(size_t rows, size_t inputs, const double* mean, const double* weights, float* weight,
                  float* bias) override {
    cuda::mean_along(rows, inputs, mean, weights, weight, bias, compute_);
  }
  void delta_along(size_t rows, size_t inputs, const float* delta, const double* weights, float* weight,
                   float* bias) override {
    cuda::delta_along(rows, inputs, delta, weights, weight, bias, compute_);
  }
  void add_products(size_t rows, size_t size, const float* x, size_t ldx, const float* y, size_t ldy, double scale,
                    double* out, size_t stride) override {
    cuda::add_products(rows, size, x, ldx, y, ldy, scale, out, stride, compute_);
  }
  void gradient_norms(const GradientShape& shape, const float* left, size_t ldl, size_t left_stride, const float* right,
                      size_t ldr, size_t right_stride, const double* weights, double* out, size_t stride) override {
    cuda::gradient_norms(shape, left, ldl, left_stride, right, ldr, right_stride, weights, out, stride, compute_);
  }

 private:
  cudaStream_t stream(Queue queue) const { return queue == Queue::kCompute ? compute_ : copy_; }

  // Two events around what is queued while it lives, where anyone asks for them.
  using Spans = std::list<std::pair<Event, Event>>;
  class Timed {
   public:
    Timed(CudaBackend& backend, Spans* spans, Queue queue) : stream_(backend.stream(queue)) {
      if (!backend.timed_ || !spans) return;
      spans->emplace_back(std::piecewise_construct, std::forward_as_tuple(true), std::forward_as_tuple(true));
      span_ = &spans->back();
      span_->first.record(stream_);
    }
    ~Timed() {
      if (span_) cudaEventRecord(span_->second, stream_);
    }

   private:
    const cudaStream_t stream_;
    Spans::value_type* span_ = nullptr;
  };

  const int index_;
  const Bound bound_;
  const bool timed_;
  Stream compute_, copy_;
  CudaOps ops_;
  CudaGradientOps gradient_ops_;
  Array<char> memory_;
  Pinned<char> host_;
  Event marks_[kMarks];
  Spans uploads_, stalls_;  // the former is the copying thread's, the latter the computing one's
};

}  // namespace

size_t pair_workspace(size_t count) { return std::max(statistics_workspace(count), select_workspace(count)); }

std::unique_ptr<Backend> Backend::open(int index, Precision precision, bool timed) {
  require_cuda(index);
  return std::make_unique<CudaBackend>(index, precision, timed);
}

}  // namespace warp::cuda
