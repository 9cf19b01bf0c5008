#pragma once
// Products of documents with several others at once.
#include "core/buffer.h"
#include "ops/ops.h"
#include "select/candidates.h"

namespace warp {

// Numbers that a product adds up in one go; the sums of such parts are added.
constexpr size_t kPanelPart = 128;

class FactoredPanel : public Panel {
 public:
  FactoredPanel(const std::vector<Factors>& pieces, const RowStore& rows, const std::vector<uint32_t>& others);
  void products(size_t first, size_t count, float* products) const override;

 private:
  struct Part {  // numbers [at, at + size) of a row, packed for the product
    size_t at, size;
    Buffer<float> packed;
  };
  using Parts = std::vector<Part>;
  Parts pack(const std::vector<float>& own, size_t at, size_t size) const;
  void multiply(const Parts& parts, const float* rows, size_t count, const float* bias, float* to, float* part,
                float* scratch) const;

  const Ops& ops_;  // asking for it takes long
  const std::vector<Factors>& pieces_;
  const RowStore& rows_;
  const size_t others_;
  std::vector<std::pair<Parts, Parts>> factors_;  // u, w of each piece
};

// Document i has the coordinates index[offsets[i] … offsets[i + 1]).
struct SparseRows {
  const uint64_t* offsets;
  const uint32_t* index;
  const float* value;
};

class SparsePanel : public Panel {
 public:
  SparsePanel(SparseRows rows, size_t size, const std::vector<uint32_t>& others);
  void products(size_t first, size_t count, float* products) const override;

 private:
  const SparseRows rows_;
  const size_t others_;
  std::vector<uint32_t> place_;  // by coordinate: row of `value_`, 0: none of the others has it
  std::vector<float> value_;     // rows × others
};

}  // namespace warp
