// Operations by element and by row that only move or add: one thread per element, rows over the grid's second
// dimension.
#include "ops/cuda/device_math.h"
#include "ops/cuda/kernels.h"

namespace warp::cuda {
namespace {

constexpr int kThreads = 256, kTile = 32;

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

__global__ void scatter_kernel(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y,
                               size_t ldy) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  for (size_t row = blockIdx.y; row < rows; row += gridDim.y) y[index[row] * ldy + column] += x[row * ldx + column];
}

__global__ void mean_rows_kernel(size_t texts, const uint32_t* offsets, size_t size, const float* x, size_t ldx,
                                 float* y, size_t ldy) {
  const size_t column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= size) return;
  for (size_t text = blockIdx.y; text < texts; text += gridDim.y) {
    const size_t begin = offsets[text], end = offsets[text + 1];
    double sum = 0;
    for (size_t row = begin; row < end; row++) sum += double(x[row * ldx + column]);
    y[text * ldy + column] = float(sum / double(end - begin));
  }
}

struct RopeArguments {
  size_t rows, heads, head_size, half, ldx, ldy;
  const float *cosine, *sine, *x;
  const uint32_t* positions;
  float sign;
  float* y;
};

// Per head `half` pairs that are turned and what is copied behind them, a thread for each.
__global__ void rope_kernel(RopeArguments a) {
  const size_t each = a.head_size - a.half, column = blockIdx.x * size_t(kThreads) + threadIdx.x;
  if (column >= a.heads * each) return;
  const size_t j = column % each, at = column / each * a.head_size + (j < a.half ? j : j + a.half);
  for (size_t row = blockIdx.y; row < a.rows; row += gridDim.y) {
    const float* x = a.x + row * a.ldx + at;
    float* y = a.y + row * a.ldy + at;
    if (j >= a.half) {
      *y = *x;
      continue;
    }
    const size_t angle = size_t(a.positions[row]) * a.half + j;
    const float u = a.cosine[angle], v = a.sine[angle] * a.sign, first = x[0], second = x[a.half];
    y[0] = first * u - second * v;
    y[a.half] = second * u + first * v;
  }
}

}  // namespace

void add(size_t rows, size_t size, const float* x, size_t ldx, float* y, size_t ldy, cudaStream_t stream) {
  WARP_LAUNCH(add_kernel, row_grid_of<kThreads>(rows, size), kThreads, 0, stream, rows, size, x, ldx, y, ldy);
}

void embed(size_t rows, size_t size, size_t count, const float* const* tables, const uint32_t* const* index, float* y,
           size_t ldy, cudaStream_t stream) {
  if (count == 0 || count > kMaxTables) throw internal_error("embed: too many tables, or none");
  EmbedTables t{};
  for (size_t i = 0; i < count; i++) {
    t.table[i] = tables[i];
    t.index[i] = index[i];
  }
  WARP_LAUNCH(embed_kernel, row_grid_of<kThreads>(rows, size), kThreads, 0, stream, rows, size, int(count), t, y, ldy);
}

void gather(size_t rows, size_t size, const float* x, size_t ldx, const uint32_t* index, float* y, size_t ldy,
            cudaStream_t stream) {
  WARP_LAUNCH(gather_kernel, row_grid_of<kThreads>(rows, size), kThreads, 0, stream, rows, size, x, ldx, index, y, ldy);
}

void mean_rows(size_t texts, const uint32_t* offsets, size_t size, ConstMatrix x, Matrix y, cudaStream_t stream) {
  WARP_LAUNCH(mean_rows_kernel, row_grid_of<kThreads>(texts, size), kThreads, 0, stream, texts, offsets, size, x.data,
              x.ld, y.data, y.ld);
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

void scatter_add(size_t rows, size_t size, ConstMatrix x, const uint32_t* index, Matrix y, cudaStream_t stream) {
  WARP_LAUNCH(scatter_kernel, row_grid_of<kThreads>(rows, size), kThreads, 0, stream, rows, size, x.data, x.ld, index,
              y.data, y.ld);
}

void rope(const RopeCall& c, ConstMatrix x, Matrix y, cudaStream_t stream) {
  const size_t half = c.rotary / 2;
  const RopeArguments a{
      c.rows, c.heads, c.head_size, half, x.ld, y.ld, c.cos, c.sin, x.data, c.positions, c.inverse ? -1.0f : 1.0f,
      y.data};
  WARP_LAUNCH(rope_kernel, row_grid_of<kThreads>(c.rows, c.heads * (c.head_size - half)), kThreads, 0, stream, a);
}

}  // namespace warp::cuda
