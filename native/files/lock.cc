#include "files/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace warp {

std::shared_ptr<FileLock> FileLock::take(const std::string& name) {
  for (;;) {
    std::shared_ptr<FileLock> lock = try_once(name);
    if (!lock) return nullptr;
    // its last holder may have removed the name meanwhile, and somebody else holds what has it now
    struct stat held = {}, named = {};
    if (::fstat(lock->descriptor_, &held) == 0 && ::stat(name.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
        held.st_ino == named.st_ino)
      return lock;
  }
}

std::shared_ptr<FileLock> FileLock::try_once(const std::string& name) {
  // not through a link, and not to wait for the other end of a named pipe
  const int descriptor = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
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
