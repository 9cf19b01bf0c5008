#include "files/low_rank.h"

#include <algorithm>
#include <cstring>

namespace warp {
namespace {

// Bytes of factors that stay for the next read; the newest always does.
constexpr size_t kHeld = size_t(32) << 20;
// Columns that are summed at a time.
constexpr size_t kColumns = 512;

// A factor as float32 with `outer` rows of `inner` elements, whichever way it is stored.
std::vector<float> load(const LowRank::Factor& factor, uint64_t outer, uint64_t inner,
                        const LowRankFactors::Reader& read) {
  const size_t count = size_t(outer * inner);
  std::vector<char> stored(count * dtype_size(factor.dtype));
  read(factor.file, factor.offset, stored.size(), stored.data());
  std::vector<float> values(count);
  to_float(factor.dtype, stored.data(), count, values.data());
  if (!factor.transposed) return values;
  std::vector<float> turned(count);
  for (size_t i = 0; i < inner; i++)
    for (size_t j = 0; j < outer; j++) turned[j * inner + i] = values[i * outer + j];
  return turned;
}

void add_double(const double* sums, size_t count, char* values) {
  for (size_t i = 0; i < count; i++) {
    double value;
    std::memcpy(&value, values + i * sizeof(double), sizeof(double));
    value += sums[i];
    std::memcpy(values + i * sizeof(double), &value, sizeof(double));
  }
}

}  // namespace

LowRankFactors::LowRankFactors(const LowRank& delta, uint64_t rows, uint64_t columns, const Reader& read)
    : rank_(delta.rank), columns_(columns), scale_(delta.scale), left_(load(delta.left, rows, delta.rank, read)),
      right_(load(delta.right, delta.rank, columns, read)) {}

void LowRankFactors::add(Dtype dtype, uint64_t begin, uint64_t count, void* values) const {
  double sums[kColumns];
  float floats[kColumns];
  char* at = static_cast<char*>(values);
  for (uint64_t done = 0; done < count;) {
    const uint64_t row = (begin + done) / columns_, column = (begin + done) % columns_;
    const size_t step = size_t(std::min({uint64_t(kColumns), columns_ - column, count - done}));
    std::fill(sums, sums + step, 0.0);
    for (uint64_t k = 0; k < rank_; k++) {
      const double factor = left_[row * rank_ + k];
      const float* from = right_.data() + k * columns_ + column;
      for (size_t j = 0; j < step; j++) sums[j] += factor * double(from[j]);
    }
    for (size_t j = 0; j < step; j++) sums[j] *= scale_;
    if (dtype == Dtype::kF64) {
      add_double(sums, step, at);
    } else {
      to_float(dtype, at, step, floats);
      for (size_t j = 0; j < step; j++) floats[j] = float(double(floats[j]) + sums[j]);
      from_float(dtype, floats, step, at);
    }
    at += step * dtype_size(dtype);
    done += step;
  }
}

std::shared_ptr<const LowRankFactors> LowRankCache::get(const std::string& name, const Make& make) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Entry& entry : entries_)
    if (entry.name == name) return entry.factors;
  entries_.push_back({name, make()});
  size_t held = 0;
  for (const Entry& entry : entries_) held += entry.factors->bytes();
  while (held > kHeld && entries_.size() > 1) {
    held -= entries_.front().factors->bytes();
    entries_.pop_front();
  }
  return entries_.back().factors;
}

}  // namespace warp
