#pragma once
// Gradients of domains on a GPU: a batch of texts forward through all layers and back, as in reverse.h, each layer's
// weights uploaded when they are needed; the sampled coordinates are added up there.
#include <memory>

#include "scoring/device_block.h"
#include "scoring/domain_sample.h"

namespace warp {

class DeviceDomains {
 public:
  // sampled: by layer, then of the head. Takes all its memory: DEVICE_MEMORY_BUDGET, DEVICE_TEXT_LENGTH, and what keeps
  // a device from being used.
  DeviceDomains(const DomainJob& job, const DomainSample& sample, size_t most_tokens, Context& context);
  ~DeviceDomains();

  // Adds the gradients of some texts of a block; returns their summed loss.
  double add(uint32_t block, const uint32_t* chosen, size_t count);
  // Sums over texts: D·B × coordinates; of squares, D × coordinates.
  void download(float* gradient, float* square) const;

  // What it would take of the device. The same errors.
  static uint64_t device_bytes(const DomainJob& job, const DomainSample& sample, size_t most_tokens);
  // Of the host's memory: bytes.
  static uint64_t host_bytes(const DomainJob& job);

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace warp
