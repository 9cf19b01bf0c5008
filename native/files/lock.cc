#include "files/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace warp {

std::shared_ptr<FileLock> FileLock::take(const std::string& name) {
  // the file stays when the lock is given back: removing it would take it from under somebody who waits for it
  const int descriptor = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0 && (errno == ENOSPC || errno == EDQUOT))
    throw Error(Kind::kResource, "DISK_FULL", name + ": no space for a file", "free some space, or write elsewhere");
  if (descriptor < 0)
    throw Error(Kind::kResource, "FILE_NOT_LOCKABLE", name + ": cannot be opened: " + std::strerror(errno),
                "use a folder that you may write to");
  const std::shared_ptr<FileLock> lock(new FileLock(descriptor));
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return nullptr;
    throw Error(Kind::kResource, "FILE_NOT_LOCKABLE", name + ": cannot be locked: " + std::strerror(errno),
                "use a file system that offers locks");
  }
  return lock;
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace warp
