// The Mimic reduction of a linear layer's scope: for every point k and sample i with residual e_i and input h_i
// (a 1 appended for a bias), direction V_k:
//   score_ik = −Σ_c e_ic ⟨V_k,c , h_i⟩ / ‖V_k‖,  Ḡ_dk = mean over i ∈ d of e_i h_iᵀ,
// of these mean over k and Σ of squares over d and k, and Σ, Σ² of the scores by domain. One pass over h:
//   1. A block takes a chunk of up to 256 samples of one domain, 4 classes and 1024 columns; a thread owns 4 columns
//      and adds up e hᵀ over the chunk and Σ e V h over its columns, in float64.
//   2. Chunks are added in order, then points (gradients); classes and columns (scores); samples (sums): fixed trees.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32, kChunk = 256, kClasses = 4, kOwn = 4, kColumns = kThreads * kOwn;

__host__ __device__ inline size_t chunks_of(uint32_t begin, uint32_t end) {
  return (end - begin + kChunk - 1) / kChunk;
}

struct Partition {
  size_t chunks, class_groups, column_groups;
  __host__ __device__ size_t parts() const { return class_groups * column_groups; }
};

Partition partition_of(const MimicShape& shape, const uint32_t* first) {
  Partition p{0, (shape.classes + kClasses - 1) / kClasses, (shape.columns + kColumns - 1) / kColumns};
  for (size_t d = 0; d < shape.domains; d++) p.chunks += chunks_of(first[d], first[d + 1]);
  return p;
}

struct Arguments {
  MimicShape shape;
  MimicInput in;
  MimicOutput out;
  Partition p;
  size_t point;          // the first of this launch
  double* partial;       // points of the launch × chunks × classes × columns
  double* score_parts;   // points of the launch × parts × samples in order
};

// The samples of a chunk.
__device__ void find_chunk(const Arguments& a, size_t chunk, size_t& begin, size_t& count) {
  for (size_t d = 0; d < a.shape.domains; d++) {
    const size_t here = chunks_of(a.in.first[d], a.in.first[d + 1]);
    if (chunk < here) {
      begin = a.in.first[d] + chunk * kChunk;
      count = a.in.first[d + 1] - begin < kChunk ? a.in.first[d + 1] - begin : kChunk;
      return;
    }
    chunk -= here;
  }
  begin = count = 0;
}

__global__ void __launch_bounds__(kThreads) mimic_partial(Arguments a) {
  WARP_SHARED(float, e, kChunk* kClasses);
  WARP_SHARED(double, room, kChunk* kWarps);
  const MimicShape& s = a.shape;
  const size_t inputs = s.columns - (s.bias ? 1 : 0);
  const size_t point = a.point + blockIdx.z, part = blockIdx.y;
  const size_t class0 = part % a.p.class_groups * kClasses, column0 = part / a.p.class_groups * kColumns + threadIdx.x;
  size_t begin = 0, count = 0;
  find_chunk(a, blockIdx.x, begin, count);
  const float* residual = a.in.residual + point * a.in.residual_stride;
  const float* hidden = a.in.hidden + point * a.in.hidden_stride;
  const float* direction = a.in.direction ? a.in.direction + point * s.classes * s.columns : nullptr;
  for (size_t i = threadIdx.x; i < count * kClasses; i += kThreads) {
    const size_t c = class0 + i % kClasses;
    e[i] = c < s.classes ? residual[a.in.order[begin + i / kClasses] * a.in.ld_residual + c] : 0.0f;
  }
  float v[kClasses][kOwn];
  double sum[kClasses][kOwn];
#pragma unroll
  for (int c = 0; c < kClasses; c++)
#pragma unroll
    for (int j = 0; j < kOwn; j++) {
      const size_t column = column0 + j * kThreads;
      const bool there = class0 + c < s.classes && column < s.columns;
      v[c][j] = there && direction ? direction[(class0 + c) * s.columns + column] : 0.0f;
      sum[c][j] = 0;
    }
  __syncthreads();
  for (size_t i = 0; i < count; i++) {
    const float* row = hidden + a.in.order[begin + i] * a.in.ld_hidden;
    double along = 0;
#pragma unroll
    for (int j = 0; j < kOwn; j++) {
      const size_t column = column0 + j * kThreads;
      const double h = column < inputs ? row[column] : column < s.columns ? 1.0f : 0.0f;
#pragma unroll
      for (int c = 0; c < kClasses; c++) {
        const double product = double(e[i * kClasses + c]) * h;
        sum[c][j] += product;
        along += product * double(v[c][j]);
      }
    }
    along = warp_sum(along);
    if (threadIdx.x % 32 == 0) room[i * kWarps + threadIdx.x / 32] = along;
  }
  double* partial = a.partial + (blockIdx.z * a.p.chunks + blockIdx.x) * s.classes * s.columns;
#pragma unroll
  for (int c = 0; c < kClasses; c++)
#pragma unroll
    for (int j = 0; j < kOwn; j++) {
      const size_t column = column0 + j * kThreads;
      if (class0 + c < s.classes && column < s.columns) partial[(class0 + c) * s.columns + column] = sum[c][j];
    }
  __syncthreads();
  for (size_t i = threadIdx.x; i < count; i += kThreads) {
    double total = 0;
    for (int warp = 0; warp < kWarps; warp++) total += room[i * kWarps + warp];
    a.score_parts[(blockIdx.z * a.p.parts() + part) * s.samples + begin + i] = total;
  }
}

// A thread owns an element; a launch goes on from where the one before, of earlier points, left off.
__global__ void mimic_gradients(Arguments a, size_t points) {
  const size_t size = a.shape.classes * a.shape.columns, item = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (item >= size) return;
  double squares = a.point ? a.out.mean_squares[item] : 0;
  for (size_t k = 0; k < points; k++) {
    const double* partial = a.partial + k * a.p.chunks * size + item;
    for (size_t domain = 0; domain < a.shape.domains; domain++) {
      const uint32_t begin = a.in.first[domain], end = a.in.first[domain + 1];
      double total = 0;
      for (size_t chunk = chunks_of(begin, end); chunk > 0; chunk--, partial += size) total += *partial;
      const double mean = end > begin ? total / double(end - begin) : 0;
      double& over_points = a.out.means[domain * a.out.means_stride + item];
      over_points = (a.point + k ? over_points : 0) + mean / double(a.shape.points);
      squares += mean * mean;
    }
  }
  a.out.mean_squares[item] = squares;
}

__global__ void mimic_scores(Arguments a) {
  const size_t at = blockIdx.x * size_t(kThreads) + threadIdx.x, point = a.point + blockIdx.y;
  if (at >= a.shape.samples) return;
  double total = 0;
  for (size_t part = 0; part < a.p.parts(); part++)
    total += a.score_parts[(blockIdx.y * a.p.parts() + part) * a.shape.samples + at];
  a.out.scores[a.in.order[at] * a.shape.points + point] = -total * a.in.scale[point];
}

__global__ void mimic_sums(Arguments a) {
  WARP_SHARED(double, room, kWarps);
  const size_t domain = blockIdx.x, point = a.point + blockIdx.y;
  double sum = 0, square = 0;
  for (size_t at = a.in.first[domain] + threadIdx.x; at < a.in.first[domain + 1]; at += kThreads) {
    const double score = a.out.scores[a.in.order[at] * a.shape.points + point];
    sum += score;
    square += score * score;
  }
  sum = block_sum<kThreads>(sum, room);
  __syncthreads();
  square = block_sum<kThreads>(square, room);
  if (threadIdx.x != 0) return;
  a.out.sums[domain * a.shape.points + point] = sum;
  a.out.squares[domain * a.shape.points + point] = square;
}

}  // namespace

size_t mimic_workspace(const MimicShape& shape, const uint32_t* first_host) {
  const Partition p = partition_of(shape, first_host);
  return (p.chunks * shape.classes * shape.columns + p.parts() * shape.samples) * sizeof(double);
}

void mimic(const MimicShape& shape, const uint32_t* first_host, const MimicInput& input, const MimicOutput& output,
           void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (shape.points == 0 || shape.domains == 0) return;
  const size_t one = mimic_workspace(shape, first_host), fit = one ? workspace_bytes / one : shape.points;
  if (fit == 0) throw internal_error("mimic: too small a workspace");
  Arguments a{shape, input, output, partition_of(shape, first_host), 0, static_cast<double*>(workspace), nullptr};
  const size_t most = fit < 65535 ? fit : 65535;
  for (; a.point < shape.points; a.point += most) {
    const unsigned points = unsigned(shape.points - a.point < most ? shape.points - a.point : most);
    a.score_parts = a.partial + points * a.p.chunks * shape.classes * shape.columns;
    WARP_LAUNCH(mimic_partial, dim3(unsigned(a.p.chunks), unsigned(a.p.parts()), points), kThreads, 0, stream, a);
    if (output.means)
      WARP_LAUNCH(mimic_gradients, blocks_of(shape.classes * shape.columns, kThreads), kThreads, 0, stream, a,
                  size_t(points));
    if (output.scores)
      WARP_LAUNCH(mimic_scores, dim3(blocks_of(shape.samples, kThreads), points), kThreads, 0, stream, a);
    if (output.sums) WARP_LAUNCH(mimic_sums, dim3(unsigned(shape.domains), points), kThreads, 0, stream, a);
  }
}

}  // namespace warp::cuda
