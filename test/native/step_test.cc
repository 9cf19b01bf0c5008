// Attention of one new token over what is kept of its text: against the reference, on every instruction set.
#include <cstring>
#include <limits>

#include "check.h"
#include "core/random.h"
#include "ops/reference/reference.h"
#include "ops/step.h"

using namespace warp;
using reference::Doubles;

namespace {

struct Shape {
  size_t heads, kv_heads, head_size, window;
  float softcap;
};

Doubles numbers(size_t count, const std::string& name) {
  const Random random(3, name);
  Doubles values(count);
  for (size_t i = 0; i < count; i++) values[i] = float(random.normal(i));
  return values;
}

template <class Body>
void for_each_isa(Body body) {
  int seen = 0;
  for (const char* isa : {"portable", "avx2", "avx512"})
    if (find_cpu_ops(isa)) {
      body(*find_cpu_ops(isa), *find_cpu_step_ops(isa));
      seen++;
    }
  CHECK(seen >= 1);
}

const std::vector<uint32_t> kPositions = {0, 1, 5, 15, 16, 40, 99};
constexpr size_t kLength = 100;

// Keys and values of one text, `ld` apart; what is behind its last token is not a number.
std::vector<float> kept(const Doubles& values, size_t width, size_t ld, size_t tokens) {
  std::vector<float> out(kLength * ld, std::numeric_limits<float>::quiet_NaN());
  for (size_t j = 0; j < tokens; j++)
    for (size_t d = 0; d < width; d++) out[j * ld + d] = float(values[j * width + d]);
  return out;
}

void check_shape(const Shape& s, const Ops& ops, const StepOps& step) {
  const size_t width = s.heads * s.head_size, kv = s.kv_heads * s.head_size, ld = kv + 3, rows = kPositions.size();
  const Doubles q = numbers(rows * width, "q");
  std::vector<Doubles> keys, values;
  std::vector<std::vector<float>> k, v;
  for (size_t r = 0; r < rows; r++) {
    keys.push_back(numbers(kLength * kv, "k" + std::to_string(r)));
    values.push_back(numbers(kLength * kv, "v" + std::to_string(r)));
    k.push_back(kept(keys[r], kv, ld, kPositions[r] + 1));
    v.push_back(kept(values[r], kv, ld, kPositions[r] + 1));
  }
  std::vector<const float*> key_rows, value_rows;
  for (size_t r = 0; r < rows; r++) key_rows.push_back(k[r].data()), value_rows.push_back(v[r].data());
  const std::vector<float> narrow(q.begin(), q.end());
  StepCall c;
  c.rows = rows;
  c.heads = s.heads;
  c.kv_heads = s.kv_heads;
  c.head_size = s.head_size;
  c.window = s.window;
  c.scale = float(1.3 / std::sqrt(double(s.head_size)));
  c.softcap = s.softcap;
  c.q = narrow.data();
  c.ldq = width;
  c.keys = key_rows.data();
  c.values = value_rows.data();
  c.ld = ld;
  c.positions = kPositions.data();
  const Doubles want = reference::attention_step(c, q, keys, values);
  std::vector<float> out(rows * width), scratch(ops.attention_scratch(kLength, s.head_size));
  step.attention(c, out.data(), width, scratch.data());
  // the bound of test/native/operations/attention.h: a score's roundings, twice
  const double e = 2 * (4 * 6e-8 * double(s.head_size) * double(c.scale) + 3e-7);
  for (size_t i = 0; i < out.size(); i++) CHECK_NEAR(out[i], want[i], e);
  // a row alone gives the same bits
  for (size_t r = 0; r < rows; r++) {
    StepCall one = c;
    one.rows = 1;
    one.q = c.q + r * width;
    one.keys = c.keys + r;
    one.values = c.values + r;
    one.positions = c.positions + r;
    std::vector<float> alone(width);
    step.attention(one, alone.data(), width, scratch.data());
    CHECK(std::memcmp(alone.data(), out.data() + r * width, width * sizeof(float)) == 0);
  }
}

}  // namespace

TEST(attention_of_a_step_agrees_with_the_reference) {
  for_each_isa([](const Ops& ops, const StepOps& step) {
    for (const Shape& s : {Shape{1, 1, 1, 0, 0},
                           {2, 2, 3, 0, 0},
                           {6, 2, 12, 0, 0},
                           {3, 1, 64, 0, 0},
                           {4, 2, 16, 7, 0},
                           {4, 4, 20, 33, 1.5f},
                           {2, 1, 130, 1000, 0},
                           {9, 3, 64, 1, 0}})
      check_shape(s, ops, step);
  });
}

TEST_MAIN
