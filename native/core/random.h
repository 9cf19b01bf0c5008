#pragma once
// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011). The key is (seed, name), the counter the
// element, so a number depends on nothing but what it is for. lib/random.ts gives the same bits.
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

namespace warp {

inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * counter[0], p1 = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(p1 >> 32) ^ counter[1] ^ key[0], uint32_t(p1), uint32_t(p0 >> 32) ^ counter[3] ^ key[1],
               uint32_t(p0)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

inline uint64_t fnv1a(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3ull;
  return hash;
}

class Random {
 public:
  // key = FNV-1a-64(name) xor seed
  Random(uint64_t seed, const std::string& name) {
    const uint64_t key = fnv1a(name) ^ seed;
    key_ = {uint32_t(key), uint32_t(key >> 32)};
  }
  const std::array<uint32_t, 2>& key() const { return key_; }
  // Four independent 32-bit words of block `index`.
  std::array<uint32_t, 4> block(uint64_t index) const {
    return philox({uint32_t(index), uint32_t(index >> 32), 0, 0}, key_);
  }
  // Element i of a stream of 32-bit words.
  uint32_t word(uint64_t i) const { return block(i / 4)[i % 4]; }
  // Standard normal number i (Box-Muller on block i).
  double normal(uint64_t i) const {
    const auto b = block(i);
    const double u = (double((uint64_t(b[0]) << 21) ^ (b[1] >> 11)) + 0.5) * 0x1p-53, v = double(b[2]) * 0x1p-32;
    return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  std::array<uint32_t, 2> key_;
};

}  // namespace warp
