#pragma once
// score_head on a GPU: the classification head at every point from head inputs that lie there. Only losses, logits and
// scores come back.
#include "ops/cuda/backend.h"
#include "scoring/head.h"

namespace warp {

// Bytes of device memory that score_head_on needs.
uint64_t head_room(const ModelSpec& spec, Scope scope, size_t texts, size_t points,
                   const std::vector<int32_t>& domain, size_t domains);

// features: (points + 2) × texts × hidden on the device. The same errors as score_head.
HeadScores score_head_on(cuda::Backend& backend, const Head& head, const Path& path, const float* features,
                         const std::vector<int32_t>& label, const std::vector<int32_t>& domain, size_t domains,
                         Scope scope, char* room, uint64_t room_bytes, Context& context);

}  // namespace warp
