#include "ops/cuda/backend.h"

#include <algorithm>
#include <limits>
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

 private:
  mutable Products products_;  // remembers plans
  const cudaStream_t stream_;
};

// The device stays the thread's own from before the streams are made.
struct Bound {
  explicit Bound(int index) { check(cudaSetDevice(index), "cudaSetDevice"); }
};

class CudaBackend : public Backend {
 public:
  CudaBackend(int index, Precision precision) : index_(index), bound_(index), ops_(precision, compute_) {}
  ~CudaBackend() override {
    cudaSetDevice(index_);
    cudaStreamSynchronize(copy_);  // what fails here has failed before, and been reported
    cudaStreamSynchronize(compute_);
  }

  void bind() const override { check(cudaSetDevice(index_), "cudaSetDevice"); }
  const Ops& ops() const override { return ops_; }
  void set_longest(size_t tokens) override { ops_.longest = tokens; }

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
    cuda::upload(static_cast<char*>(to), static_cast<const char*>(from), bytes, stream(queue));
    if (queue == Queue::kCompute) check(cudaStreamSynchronize(compute_), "upload");
  }
  void download(void* to, const void* from, size_t bytes) override {
    cuda::download(static_cast<char*>(to), static_cast<const char*>(from), bytes, compute_);
    compute_.wait();
  }
  void mark(int number, Queue queue) override { marks_[number].record(stream(queue)); }
  void hold(int number, Queue queue) override { marks_[number].hold(stream(queue)); }
  void wait(int number) override { marks_[number].wait(); }

  void merge(const Merge& m, size_t count, void* out, Dtype dtype) override { cuda::merge(m, count, out, dtype, compute_); }
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
  void mimic(const MimicShape& shape, const uint32_t* first_host, const MimicInput& input, const MimicOutput& output,
             void* workspace, size_t workspace_bytes) override {
    cuda::mimic(shape, first_host, input, output, workspace, workspace_bytes, compute_);
  }

 private:
  cudaStream_t stream(Queue queue) const { return queue == Queue::kCompute ? compute_ : copy_; }

  const int index_;
  const Bound bound_;
  Stream compute_, copy_;
  CudaOps ops_;
  Array<char> memory_;
  Pinned<char> host_;
  Event marks_[kMarks];
};

}  // namespace

std::unique_ptr<Backend> Backend::open(int index, Precision precision) {
  require_cuda(index);
  return std::make_unique<CudaBackend>(index, precision);
}

}  // namespace warp::cuda
