#include "files/writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace warp {

OutputFile::OutputFile(const std::string& name, uint64_t size) : part_(name + ".part"), size_(size) {
  descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(errno);
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(part_.c_str());
}

void OutputFile::fail(int error) const {
  if (error == ENOSPC || error == EDQUOT) {
    struct statvfs space = {};
    const bool known = ::statvfs(part_.c_str(), &space) == 0;
    throw Error(Kind::kResource, "DISK_FULL",
                part_ + ": the disk is full; the file needs " + std::to_string(size_) + " bytes" +
                    (known ? ", " + std::to_string(uint64_t(space.f_bavail) * space.f_frsize) + " are free" : ""),
                "free some space and give the same command again: it goes on with what is missing");
  }
  throw Error(Kind::kResource, "OUTPUT_NOT_WRITABLE", part_ + ": cannot be written: " + std::strerror(error),
              "give a directory that you may write to");
}

void OutputFile::write(uint64_t offset, const void* from, uint64_t length) {
  if (offset > size_ || length > size_ - offset) throw internal_error(part_ + ": write beyond the end");
  const char* bytes = static_cast<const char*>(from);
  while (length > 0) {
    const ssize_t put = ::pwrite(descriptor_, bytes, std::min<uint64_t>(length, 1u << 30), off_t(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(errno);
    bytes += put;
    offset += uint64_t(put);
    length -= uint64_t(put);
  }
}

void OutputFile::finish() {
  struct stat found = {};
  if (::fstat(descriptor_, &found) != 0) fail(errno);
  if (uint64_t(found.st_size) != size_)
    throw internal_error(part_ + ": has " + std::to_string(found.st_size) + " bytes, not " + std::to_string(size_));
  // the name that follows says that the file is whole: it must be, also after a power failure
  while (::fsync(descriptor_) != 0) {
    if (errno == EINVAL || errno == ENOTSUP) break;  // a file system that cannot
    if (errno != EINTR) fail(errno);
  }
  const int closing = descriptor_;
  descriptor_ = -1;
  if (::close(closing) != 0) {  // a network disk may say only now that it is full
    const int error = errno;
    ::unlink(part_.c_str());
    fail(error);
  }
}

}  // namespace warp
