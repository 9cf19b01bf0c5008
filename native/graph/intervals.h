#pragma once
// Columns for arrays that are in use at different times: first fit.
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace warp {

class Intervals {
 public:
  using Span = std::pair<size_t, size_t>;  // first and last time, both included

  // The first columns of `width` that nobody has at that time.
  size_t add(Span when, size_t width) {
    size_t at = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (const Taken& other : taken_) {
        const bool together = when.first <= other.when.second && other.when.first <= when.second;
        if (!together || at >= other.at + other.width || other.at >= at + width) continue;
        at = other.at + other.width;
        moved = true;
      }
    }
    taken_.push_back({when, at, width});
    size_ = std::max(size_, at + width);
    return at;
  }
  size_t size() const { return size_; }

 private:
  struct Taken {
    Span when;
    size_t at, width;
  };
  std::vector<Taken> taken_;
  size_t size_ = 0;
};

}  // namespace warp
