#pragma once
// Output files that are written by several threads at known offsets, under a name of their own until they are whole.
#include <cstdint>
#include <string>

namespace warp {

// NAME.part, `size` bytes once all is written. The caller renames it. What is not finished is removed when this
// object goes away; only a killed process leaves it behind, and the next one overwrites it.
class OutputFile {
 public:
  OutputFile(const std::string& name, uint64_t size);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Any thread; different ranges. DISK_FULL names the bytes the whole file needs.
  void write(uint64_t offset, const void* from, uint64_t length);
  // Everything is written: checks the size, flushes to the disk and closes.
  void finish();

 private:
  [[noreturn]] void fail(int error) const;

  const std::string part_;
  const uint64_t size_;
  int descriptor_ = -1;
};

}  // namespace warp
