#pragma once
// Rows of numbers, all of one width: in memory, or in files of which only a stretch is at a time.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "files/input.h"

namespace warp {

// A row for as long as it is looked at: it lies in the store, or here.
class RowView {
 public:
  explicit RowView(const float* there) : there_(there) {}
  explicit RowView(std::vector<float> own) : own_(std::move(own)), there_(own_.data()) {}
  operator const float*() const { return there_; }

 private:
  std::vector<float> own_;
  const float* there_;
};

class RowStore {
 public:
  explicit RowStore(size_t width) : width_(width) {}
  size_t width() const { return width_; }
  size_t count() const { return count_; }
  void append(const float* rows, size_t count);
  // `count` rows of a file from byte `offset` on. A store has rows of one kind only.
  void append_file(const std::string& path, uint64_t offset, size_t count);

  // From now on every number of a row times its factor, rounded. Once, when all rows are there.
  void scale(std::vector<double> factors);

  // Rows of which copies may be in memory; where none are in files: all.
  void set_room(size_t room) { room_ = room; }
  size_t room() const { return files_.empty() ? count_ : room_; }

  // Any thread. Throws FILE_SHRANK, FILE_UNREADABLE.
  RowView row(size_t i) const;
  // Rows from `first` on, one after the other: all of those in memory, or of the stretch that is streamed.
  const float* run(size_t first) const;

  // One thread. Calls with all rows, a stretch after the other.
  void stream(const std::function<void(size_t first, size_t count)>& body);
  uint64_t bytes() const;

 private:
  struct Part {
    InputFile file;
    uint64_t offset;
    size_t first, count;
    Part(const std::string& path, uint64_t offset, size_t first, size_t count)
        : file(path), offset(offset), first(first), count(count) {}
  };
  void read(size_t first, size_t count, float* to) const;
  void multiply(size_t count, float* rows) const;

  const size_t width_;
  size_t count_ = 0, room_ = 0;
  std::vector<float> rows_;  // of all
  std::vector<double> factors_;  // of each number; empty: 1
  std::vector<std::unique_ptr<Part>> files_;
  std::vector<float> stretch_;  // of a store with files
  size_t stretch_first_ = 0, stretch_count_ = 0;
};

}  // namespace warp
