#pragma once
// Writes the points of a path into safetensors shards: every part of a tensor is read once and written for all
// points.
#include <cstdint>
#include <string>
#include <vector>

#include "paths/path.h"

namespace warp {

struct MergeShard {
  struct Tensor {
    std::string name;  // as the path knows it
    Dtype dtype = Dtype::kF32;
    uint64_t offset = 0;  // in the shard
  };
  struct Copy {  // bytes of a file that no path changes
    std::string file;
    uint64_t from = 0, length = 0, offset = 0;
  };
  struct Target {
    int point = 0;
    std::string file;
  };
  std::vector<uint8_t> header;
  uint64_t size = 0;
  std::vector<Tensor> tensors;
  std::vector<Copy> copies;
  std::vector<Target> targets;
};

// Leaves FILE.part of every target, whole and closed; none when it fails. Values are θ_k rounded to nearest even; a
// point that is stored in the tensor's dtype (λ = 0, a fixed tensor) is copied byte for byte. What is not finite is
// refused: WEIGHTS_NOT_FINITE where an input is not, OUTPUT_OVERFLOW where the dtype cannot hold the value.
// Progress in bytes written, up to targets · size.
void write_shard(const Path& path, const MergeShard& shard, Threads& threads, Context& context);

}  // namespace warp
