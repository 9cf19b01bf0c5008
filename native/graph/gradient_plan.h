#pragma once
// Where the gradient of each slot of a training flow lies, and in which order what flows into it is added: first what
// steps compute, in the reverse order of the steps, then what additions pass on.
#include "graph/flow.h"

namespace warp {

struct GradientPlan {
  enum Kind { kNone, kInput, kOutput, kShared, kTile, kBlock };
  struct Place {
    Kind kind = kNone;
    size_t at = 0;  // kShared: its array; kTile: × tokens; kBlock: × rows of a block
  };
  // What an operand's gradient gets from one action.
  struct Flowing {
    bool wanted = false;
    bool first = false;      // nothing lies there yet: written, not added
    bool clear = false;      // the slot's gradient is set to zero before
  };
  struct Passed {  // into a slot's gradient when all else is there
    uint32_t from = 0;     // the slot whose gradient it is
    bool scatter = false;  // rows that the head reads
  };

  std::vector<Place> gradient;               // by slot
  std::vector<std::vector<Flowing>> flowing;  // by action: operands a, b, c
  std::vector<std::vector<Passed>> passed;   // by slot
  std::vector<bool> computed;                // by slot: whether steps compute some of its gradient
  std::vector<uint32_t> shared;              // slot of each shared array: values computed again, then gradients
  std::vector<int> again;                    // by slot: the array of its value, or −1
  size_t tile_floats = 0, block_floats = 0;

  void make(const Flow& flow);
};

}  // namespace warp
