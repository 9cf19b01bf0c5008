#pragma once
// Documents to choose from, as vectors that are known by their inner products.
#include <cstdint>
#include <memory>
#include <vector>

#include "select/features.h"

namespace warp {

class Candidates {
 public:
  virtual ~Candidates() = default;
  virtual size_t count() const = 0;
  // ⟨g_i, g_j⟩ in double precision, summed in a fixed order
  virtual double product(size_t i, size_t j) const = 0;
  // a sum of gradients, written out: its length, ⟨G, g_i⟩, G += w g_i
  virtual size_t size() const = 0;
  virtual double against(const double* sum, size_t i) const = 0;
  virtual void add(double* sum, size_t i, double weight) const = 0;
};

// g = Σ_p u_p ⊗ [w_p; 1], one block for each piece.
class FactoredCandidates : public Candidates {
 public:
  explicit FactoredCandidates(std::vector<Factors> pieces);
  void append(const float* rows, size_t count) { rows_.insert(rows_.end(), rows, rows + count * width_); }
  size_t width() const { return width_; }
  size_t count() const override { return rows_.size() / width_; }
  double product(size_t i, size_t j) const override;
  size_t size() const override { return size_; }
  double against(const double* sum, size_t i) const override;
  void add(double* sum, size_t i, double weight) const override;

 private:
  const float* row(size_t i) const { return rows_.data() + i * width_; }
  const std::vector<Factors> pieces_;
  size_t width_ = 0, size_ = 0;
  std::vector<float> rows_;
};

// Few of many coordinates: tokens with weights, in rising order.
class SparseCandidates : public Candidates {
 public:
  explicit SparseCandidates(size_t size) : size_(size) {}
  // document i holds [offsets[i], offsets[i + 1]) of both
  void append(const uint32_t* offsets, size_t count, const uint32_t* index, const float* value);
  size_t count() const override { return offsets_.size() - 1; }
  double product(size_t i, size_t j) const override;
  size_t size() const override { return size_; }
  double against(const double* sum, size_t i) const override;
  void add(double* sum, size_t i, double weight) const override;

 private:
  const size_t size_;
  std::vector<uint64_t> offsets_{0};
  std::vector<uint32_t> index_;
  std::vector<float> value_;
};

}  // namespace warp
