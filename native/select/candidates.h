#pragma once
// Documents to choose from, as vectors that are known by their inner products.
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "select/features.h"
#include "select/rows.h"

namespace warp {

// Products of documents with several others at once, in single precision: matrix products.
class Panel {
 public:
  virtual ~Panel() = default;
  // products[(i − first) · others + j] = ⟨g_i, g_j⟩ of `count` documents from `first` on, which are in memory or in the
  // stretch that is streamed. Any thread; the same bits however the documents are split over calls.
  virtual void products(size_t first, size_t count, float* products) const = 0;
};

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

  // In single precision: within quick_error() of the product of the lengths.
  virtual double quick_product(size_t i, size_t j) const = 0;
  virtual std::unique_ptr<Panel> panel(const std::vector<uint32_t>& others) const = 0;  // not longer than this lives
  virtual double quick_error() const = 0;

  // Copies of some, in memory, and how many there may be.
  virtual size_t room() const { return count(); }
  virtual std::unique_ptr<Candidates> some(const std::vector<uint32_t>& documents) const = 0;
  // Calls with all documents, a stretch after the other, each of them in memory meanwhile. One thread.
  virtual void stream(const std::function<void(size_t first, size_t count)>& body) { body(0, count()); }
};

// g = Σ_p u_p ⊗ [w_p; 1], one block for each piece; a piece without u is the vector w itself.
class FactoredCandidates : public Candidates {
 public:
  explicit FactoredCandidates(std::vector<Factors> pieces);
  size_t width() const { return rows_.width(); }
  RowStore& rows() { return rows_; }
  size_t count() const override { return rows_.count(); }
  double product(size_t i, size_t j) const override;
  size_t size() const override { return size_; }
  double against(const double* sum, size_t i) const override;
  void add(double* sum, size_t i, double weight) const override;
  double quick_product(size_t i, size_t j) const override;
  std::unique_ptr<Panel> panel(const std::vector<uint32_t>& others) const override;
  double quick_error() const override { return quick_error_; }
  size_t room() const override { return rows_.room(); }
  std::unique_ptr<Candidates> some(const std::vector<uint32_t>& documents) const override;
  void stream(const std::function<void(size_t, size_t)>& body) override { rows_.stream(body); }

 private:
  const std::vector<Factors> pieces_;
  size_t size_ = 0;
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
  std::unique_ptr<Panel> panel(const std::vector<uint32_t>& others) const override;
  double quick_error() const override { return 0x1p-22; }
  std::unique_ptr<Candidates> some(const std::vector<uint32_t>& documents) const override;

 private:
  const size_t size_;
  std::vector<uint64_t> offsets_{0};
  std::vector<uint32_t> index_;
  std::vector<float> value_;
};

}  // namespace warp
