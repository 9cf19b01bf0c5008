// Row-wise operations. layer_norm: one warp per row, y = (x + r − mean) / √(var + eps) · gain + bias; two passes,
// float64 sums. A row of up to 1024 aligned floats stays in registers, 16 bytes a load; others go through y.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kRowsPerBlock = kThreads / 32, kTile = 32;
constexpr unsigned kMostRows = 32768;

__device__ __forceinline__ float4 operator+(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }
__device__ __forceinline__ double sum4(float4 a) { return (double(a.x) + a.y) + (double(a.z) + a.w); }
__device__ __forceinline__ double squares4(float4 a, double mean) {
  const double x = a.x - mean, y = a.y - mean, z = a.z - mean, w = a.w - mean;
  return (x * x + y * y) + (z * z + w * w);
}

struct NormArguments {
  size_t rows, size, ldx, ldr, ldy;
  const float *x, *r, *gain, *bias;
  float eps;
  float* y;
};

template <int kVectors>
__global__ void layer_norm_registers(NormArguments a) {
  const size_t row = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (row >= a.rows) return;  // a whole warp
  const int lane = threadIdx.x % 32, vectors = int(a.size / 4);
  const float4* x = reinterpret_cast<const float4*>(a.x + row * a.ldx);
  const float4* r = a.r ? reinterpret_cast<const float4*>(a.r + row * a.ldr) : nullptr;
  const float4 zero{0, 0, 0, 0};
  float4 v[kVectors];
  double total = 0;
#pragma unroll
  for (int i = 0; i < kVectors; i++) {
    const int at = lane + 32 * i;
    v[i] = at >= vectors ? zero : r ? x[at] + r[at] : x[at];
    total += sum4(v[i]);
  }
  const double mean = warp_sum(total) / double(a.size);
  total = 0;
#pragma unroll
  for (int i = 0; i < kVectors; i++)
    if (lane + 32 * i < vectors) total += squares4(v[i], mean);
  const float center = float(mean), scale = float(1 / sqrt(warp_sum(total) / double(a.size) + double(a.eps)));
  float4* y = reinterpret_cast<float4*>(a.y + row * a.ldy);
#pragma unroll
  for (int i = 0; i < kVectors; i++) {
    const int at = lane + 32 * i;
    if (at >= vectors) continue;
    const float4 g = reinterpret_cast<const float4*>(a.gain)[at], b = reinterpret_cast<const float4*>(a.bias)[at];
    y[at] = {(v[i].x - center) * scale * g.x + b.x, (v[i].y - center) * scale * g.y + b.y,
             (v[i].z - center) * scale * g.z + b.z, (v[i].w - center) * scale * g.w + b.w};
  }
}

__global__ void layer_norm_any(NormArguments a) {
  const size_t row = blockIdx.x * size_t(kRowsPerBlock) + threadIdx.x / 32;
  if (row >= a.rows) return;  // a whole warp
  const float *x = a.x + row * a.ldx, *r = a.r ? a.r + row * a.ldr : nullptr;
  float* y = a.y + row * a.ldy;
  double total = 0;
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) {  // a lane reads back only what it wrote itself
    const float v = r ? x[j] + r[j] : x[j];
    y[j] = v;
    total += v;
  }
  const double mean = warp_sum(total) / double(a.size);
  total = 0;
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) total += (y[j] - mean) * (y[j] - mean);
  const float center = float(mean), scale = float(1 / sqrt(warp_sum(total) / double(a.size) + double(a.eps)));
  for (size_t j = threadIdx.x % 32; j < a.size; j += 32) y[j] = (y[j] - center) * scale * a.gain[j] + a.bias[j];
}

template <int kVectors>
void run_registers(const NormArguments& a, cudaStream_t stream) {
  WARP_LAUNCH(layer_norm_registers<kVectors>, blocks_of(a.rows, kRowsPerBlock), kThreads, 0, stream, a);
}

__global__ void add_kernel(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  for (size_t row = blockIdx.y; row < rows; row += gridDim.y) y[row * ldy + column] += x[row * ldx + column];
}

struct EmbedTables {
  const float* table[kMaxTables];
  const uint32_t* index[kMaxTables];
};

__global__ void embed_kernel(size_t rows, size_t size, int count, EmbedTables t, float* y, size_t ldy) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  for (size_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float total = t.table[0][t.index[0][row] * size + column];
    for (int i = 1; i < count; i++) total += t.table[i][t.index[i][row] * size + column];
    y[row * ldy + column] = total;
  }
}

__global__ void gather_kernel(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y,
                              size_t ldy) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  for (size_t row = blockIdx.y; row < rows; row += gridDim.y)
    y[row * ldy + column] = x[(index ? index[row] : row) * ldx + column];
}

// 32 × 32 tiles by way of shared memory, 32 × 8 threads; a padded row of 33 keeps the columns on different banks.
__global__ void transpose_kernel(size_t rows, size_t columns, const float* x, size_t ldx, float* y, size_t ldy) {
  WARP_SHARED(float, tile, kTile*(kTile + 1));
  const size_t row = blockIdx.y * size_t(kTile), column = blockIdx.x * size_t(kTile);
  for (unsigned i = threadIdx.y; i < kTile; i += blockDim.y)
    if (row + i < rows && column + threadIdx.x < columns)
      tile[i * (kTile + 1) + threadIdx.x] = x[(row + i) * ldx + column + threadIdx.x];
  __syncthreads();
  for (unsigned i = threadIdx.y; i < kTile; i += blockDim.y)
    if (column + i < columns && row + threadIdx.x < rows)
      y[(column + i) * ldy + row + threadIdx.x] = tile[threadIdx.x * (kTile + 1) + i];
}

dim3 row_grid(size_t rows, size_t size) {
  return dim3(blocks_of(size, kThreads), unsigned(rows < kMostRows ? rows : kMostRows));
}

}  // namespace

void layer_norm(size_t rows, size_t size, const float* x, size_t ldx, const float* r, size_t ldr, const float* gain,
                const float* bias, float eps, float* y, size_t ldy, cudaStream_t stream) {
  const NormArguments a{rows, size, ldx, ldr, ldy, x, r, gain, bias, eps, y};
  const bool aligned = aligned16(x) && aligned16(y) && aligned16(gain) && aligned16(bias) && aligned16(r) &&
                       size % 4 == 0 && ldx % 4 == 0 && ldy % 4 == 0 && ldr % 4 == 0;
  const size_t vectors = (size + 127) / 128;  // per lane
  if (!aligned || vectors > 8) {
    WARP_LAUNCH(layer_norm_any, blocks_of(rows, kRowsPerBlock), kThreads, 0, stream, a);
  } else if (vectors <= 2) {
    run_registers<2>(a, stream);
  } else if (vectors <= 4) {
    run_registers<4>(a, stream);
  } else if (vectors <= 6) {
    run_registers<6>(a, stream);
  } else {
    run_registers<8>(a, stream);
  }
}

void add(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy, cudaStream_t stream) {
  WARP_LAUNCH(add_kernel, row_grid(rows, size), kThreads, 0, stream, rows, size, x, ldx, y, ldy);
}

void embed(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index, float* y,
           size_t ldy, cudaStream_t stream) {
  if (count == 0 || count > kMaxTables) throw internal_error("embed: too many tables, or none");
  EmbedTables t{};
  for (size_t i = 0; i < count; i++) {
    t.table[i] = tables[i];
    t.index[i] = index[i];
  }
  WARP_LAUNCH(embed_kernel, row_grid(rows, size), kThreads, 0, stream, rows, size, int(count), t, y, ldy);
}

void gather(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y, size_t ldy,
            cudaStream_t stream) {
  WARP_LAUNCH(gather_kernel, row_grid(rows, size), kThreads, 0, stream, rows, size, x, ldx, index, y, ldy);
}

void transpose(size_t rows, size_t columns, const float* x, size_t ldx, float* y, size_t ldy, cudaStream_t stream) {
  // the grid's second dimension ends at 65535 tiles
  constexpr size_t kStep = 65535 * size_t(kTile);
  for (size_t done = 0; done < rows; done += kStep) {
    const size_t step = rows - done < kStep ? rows - done : kStep;
    WARP_LAUNCH(transpose_kernel, dim3(blocks_of(columns, kTile), blocks_of(step, kTile)), dim3(kTile, 8), 0, stream,
                step, columns, x + done * ldx, ldx, y + done, ldy);
  }
}

}  // namespace warp::cuda
