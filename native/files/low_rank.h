#pragma once
// The difference that an adapter adds to a tensor of two dimensions: scale · L · R with L [rows × rank] and
// R [rank × columns], both stored in files. Only the factors are ever held, and only those of the last few tensors.
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace warp {

struct LowRank {
  struct Factor {
    Dtype dtype = Dtype::kF32;
    int file = -1;
    uint64_t offset = 0;
    bool transposed = false;  // stored as [rank × rows], or [columns × rank]
  } left, right;
  uint64_t rank = 0;
  double scale = 0;
};

class LowRankFactors {
 public:
  // Stored bytes [offset, offset + length) of a file.
  using Reader = std::function<void(int file, uint64_t offset, uint64_t length, void* to)>;
  LowRankFactors(const LowRank& delta, uint64_t rows, uint64_t columns, const Reader& read);

  // Adds elements [begin, begin + count) of the difference to `values` of the given dtype; products and sums in double
  // precision in one order whatever the range, rounded once.
  void add(Dtype dtype, uint64_t begin, uint64_t count, void* values) const;
  size_t bytes() const { return (left_.size() + right_.size()) * sizeof(float); }

 private:
  uint64_t rank_, columns_;
  double scale_;
  std::vector<float> left_, right_;  // [rows × rank], [rank × columns]
};

// The factors of the tensors read last. Any thread.
class LowRankCache {
 public:
  using Make = std::function<std::shared_ptr<const LowRankFactors>()>;
  std::shared_ptr<const LowRankFactors> get(const std::string& name, const Make& make);

 private:
  struct Entry {
    std::string name;
    std::shared_ptr<const LowRankFactors> factors;
  };
  std::mutex mutex_;
  std::deque<Entry> entries_;  // oldest first
};

}  // namespace warp
