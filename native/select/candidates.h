#pragma once
// Documents to choose from, as vectors that are known by their inner products.
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "select/features.h"
#include "select/rows.h"

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

  // The same in single precision: within quick_error() of the product of the lengths. quick_size(): numbers read for
  // a product of two documents.
  virtual double quick_product(size_t i, size_t j) const = 0;
  virtual double quick_against(const float* sum, size_t i) const = 0;
  virtual double quick_error() const = 0;
  virtual size_t quick_size() const = 0;
  virtual void expect(size_t) const {}  // a look at the document is to follow soon

  // Documents that are not resident are read from a file each time that they are asked for.
  virtual bool resident(size_t) const { return true; }
  virtual size_t room() const { return count(); }  // documents that can be resident
  // makes these resident in the place of others, and one for good
  virtual void keep(std::vector<uint32_t>) {}
  virtual void pin(size_t) {}
  // Calls with all documents, a stretch after the other, each of them resident meanwhile; keeps those of `keep`.
  virtual void stream(const std::function<void(size_t first, size_t count)>& body) { body(0, count()); }
};

// g = Σ_p u_p ⊗ [w_p; 1], one block for each piece; a piece without u is the vector w itself.
class FactoredCandidates : public Candidates {
 public:
  explicit FactoredCandidates(std::vector<Factors> pieces);
  size_t width() const { return width_; }
  RowStore& rows() { return rows_; }
  size_t count() const override { return rows_.count(); }
  double product(size_t i, size_t j) const override;
  size_t size() const override { return size_; }
  double against(const double* sum, size_t i) const override;
  void add(double* sum, size_t i, double weight) const override;
  double quick_product(size_t i, size_t j) const override;
  double quick_against(const float* sum, size_t i) const override;
  double quick_error() const override { return quick_error_; }
  size_t quick_size() const override { return width_; }
  void expect(size_t i) const override { rows_.expect(i); }
  bool resident(size_t i) const override { return rows_.resident(i); }
  size_t room() const override { return rows_.room(); }
  void keep(std::vector<uint32_t> documents) override { rows_.keep(std::move(documents)); }
  void pin(size_t i) override { rows_.pin(i); }
  void stream(const std::function<void(size_t, size_t)>& body) override { rows_.stream(body); }

 private:
  const std::vector<Factors> pieces_;
  size_t width_ = 0, size_ = 0;
  double quick_error_ = 0;
  RowStore rows_;
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
  double quick_product(size_t i, size_t j) const override { return product(i, j); }
  double quick_against(const float* sum, size_t i) const override;
  double quick_error() const override { return 0x1p-22; }
  size_t quick_size() const override { return size_; }  // a look at the whole sum is always cheaper

 private:
  const size_t size_;
  std::vector<uint64_t> offsets_{0};
  std::vector<uint32_t> index_;
  std::vector<float> value_;
};

}  // namespace warp
