#pragma once
// Rows of numbers, all of one width: in memory, or in files of which only some rows are.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
  // `count` rows of a file from byte `offset` on; `room`: rows that are held in memory at most. A store has rows of one
  // kind only.
  void append_file(const std::string& path, uint64_t offset, size_t count);
  void set_room(size_t room) { room_ = room; }

  // Any thread, but for what follows below. Throws FILE_SHRANK, FILE_UNREADABLE.
  RowView row(size_t i) const;
  void expect(size_t i) const;
  bool resident(size_t i) const { return files_.empty() || find(i) != nullptr; }
  size_t room() const { return files_.empty() ? count_ : room_; }

  // One thread. `keep` takes effect when the rows are streamed next.
  void keep(std::vector<uint32_t> rows);
  void pin(size_t i);
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
  const float* find(size_t i) const;
  void read(size_t first, size_t count, float* to) const;

  const size_t width_;
  size_t count_ = 0, room_ = 0;
  std::vector<float> rows_;  // of all
  std::vector<std::unique_ptr<Part>> files_;
  // of a store with files: where a row that is kept lies (−1: nowhere), those that will be, the stretch in hand
  std::vector<uint32_t> slot_, wanted_;
  std::vector<float> kept_, stretch_;
  std::vector<std::unique_ptr<float[]>> pinned_;
  std::vector<const float*> pin_;  // by row
  size_t stretch_first_ = 0, stretch_count_ = 0;
};

}  // namespace warp
