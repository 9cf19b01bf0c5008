#include "files/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace warp {

InputFile::InputFile(std::string name) : name_(std::move(name)) {
  descriptor_ = ::open(name_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0)
    throw Error(Kind::kInput, "FILE_UNREADABLE", name_ + ": cannot be opened: " + std::strerror(errno),
                "check that the file is there and may be read");
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(uint64_t offset, uint64_t length, void* to, const std::string& what) const {
  char* out = static_cast<char*>(to);
  while (length > 0) {
    const ssize_t got = ::pread(descriptor_, out, std::min<uint64_t>(length, 1u << 30), off_t(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw Error(Kind::kInput, "FILE_UNREADABLE", name_ + ": " + what + ": " + std::strerror(errno),
                  "check the disk, and that the file may be read");
    if (got == 0)
      throw Error(Kind::kInput, "FILE_SHRANK",
                  name_ + ": " + what + ": the file ends at byte " + std::to_string(offset) + ", " +
                      std::to_string(length) + " bytes early; it was complete when it was opened",
                  "do not write to the file while it is read");
    out += got;
    offset += uint64_t(got);
    length -= uint64_t(got);
  }
}

}  // namespace warp
