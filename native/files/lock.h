#pragma once
// A lock on a file that dies with its process, however that ends, and also holds against other machines on file
// systems that offer it (NFS does).
#include <memory>
#include <string>

namespace warp {

class FileLock {
 public:
  // Makes the file where there is none; null when somebody holds it. A holder may remove the name before it gives the
  // lock back. FILE_NOT_LOCKABLE, DISK_FULL
  static std::shared_ptr<FileLock> take(const std::string& name);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  static std::shared_ptr<FileLock> try_once(const std::string& name);
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  const int descriptor_;
};

}  // namespace warp
