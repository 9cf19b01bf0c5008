#pragma once
// Whether rows or columns of one tensor are found in another at another place.
#include <cstdint>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/threads.h"
#include "files/weights.h"

namespace warp::diff {

// Of each row (column) of the reference: its own number where it equals the base's, the number of the base's row that
// it does equal, or kNowhere; rows that the base has more than once count as nowhere unless in place.
constexpr uint32_t kNowhere = 0xffffffffu;
struct Places {
  std::vector<uint32_t> rows, columns;
};

// Of a matrix that both have with the same shape. Equal means equal in float32, rounded to the coarser of the two
// dtypes; found by 64-bit hashes.
Places places(const Weights& base, const Weights& reference, const std::string& name, Threads& threads,
              Context& context);

}  // namespace warp::diff
