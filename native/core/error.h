#pragma once
// The one way native code reports trouble: a typed exception that the binding turns into a WarpError.
#include <exception>
#include <string>
#include <utility>

namespace warp {

enum class Kind { kInternal, kUsage, kInput, kResource };

class Error : public std::exception {
 public:
  Error(Kind kind, std::string code, std::string message, std::string hint)
      : kind(kind), code(std::move(code)), message(std::move(message)), hint(std::move(hint)) {}
  const char* what() const noexcept override { return message.c_str(); }

  const Kind kind;
  const std::string code;     // stable, UPPER_SNAKE
  const std::string message;  // what was found, what was expected, where
  const std::string hint;     // the one thing to try
};

inline Error internal_error(std::string message) {
  return {Kind::kInternal, "INTERNAL", std::move(message), "this is a bug: please report it"};
}

// Thrown by Context::check once the caller gave up.
struct Cancelled : std::exception {
  const char* what() const noexcept override { return "cancelled"; }
};

}  // namespace warp
