#pragma once
// A file opened for ranged reads. It is never mapped: one that becomes shorter while it is read is an error, not a
// crash.
#include <cstdint>
#include <string>

namespace warp {

class InputFile {
 public:
  explicit InputFile(std::string name);  // FILE_UNREADABLE
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Bytes [offset, offset + length); `what` names them in an error: FILE_SHRANK, FILE_UNREADABLE. Any thread.
  void read(uint64_t offset, uint64_t length, void* to, const std::string& what) const;

 private:
  const std::string name_;
  int descriptor_ = -1;
};

}  // namespace warp
