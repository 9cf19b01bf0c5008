#pragma once
// A test program in one header: TEST(name) { CHECK(…); } … and TEST_MAIN at the end. Exit code 1 when a check
// fails or a test throws; the last line counts.
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace check {

struct Test {
  const char* name;
  std::function<void()> body;
};
inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}
inline int& failures() {
  static int count = 0;
  return count;
}
struct Add {
  Add(const char* name, std::function<void()> body) { tests().push_back({name, std::move(body)}); }
};
inline void fail(const char* file, int line, const std::string& what) {
  if (++failures() <= 40) std::printf("%s:%d: %s\n", file, line, what.c_str());
}
inline int run() {
  int failed = 0;
  for (const Test& test : tests()) {
    const int before = failures();
    try {
      test.body();
    } catch (const std::exception& error) {
      fail(test.name, 0, std::string("threw ") + error.what());
    }
    if (failures() != before) {
      std::printf("FAILED %s\n", test.name);
      failed++;
    }
  }
  std::printf("%zu passed, %d failed\n", tests().size() - failed, failed);
  return failed || tests().empty();
}

}  // namespace check

#define TEST(name) \
  static void name(); \
  static const check::Add add_##name(#name, name); \
  static void name()
#define CHECK(condition) \
  do { \
    if (!(condition)) check::fail(__FILE__, __LINE__, "not so: " #condition); \
  } while (0)
#define CHECK_NEAR(a, b, tolerance) \
  do { \
    const double check_a = (a), check_b = (b), check_t = (tolerance); \
    if (!(std::fabs(check_a - check_b) <= check_t)) \
      check::fail(__FILE__, __LINE__, \
                  #a " = " + std::to_string(check_a) + ", " #b " = " + std::to_string(check_b) + ", tolerance " + \
                      std::to_string(check_t)); \
  } while (0)
#define TEST_MAIN \
  int main() { return check::run(); }
