#include "select/panels.h"

#include <algorithm>

#include "select/dots.h"

namespace warp {

FactoredPanel::FactoredPanel(const std::vector<Factors>& pieces, const RowStore& rows,
                             const std::vector<uint32_t>& others)
    : ops_(cpu_ops()), pieces_(pieces), rows_(rows), others_(others.size()) {
  std::vector<float> own(others_ * rows.width());
  for (size_t j = 0; j < others_; j++) {
    const RowView row = rows.row(others[j]);
    std::copy_n(static_cast<const float*>(row), rows.width(), own.data() + j * rows.width());
  }
  for (const Factors& p : pieces_) factors_.emplace_back(pack(own, p.u, p.u_size), pack(own, p.w, p.w_size));
}

FactoredPanel::Parts FactoredPanel::pack(const std::vector<float>& own, size_t at, size_t size) const {
  Parts parts;
  for (size_t end = at + size; at < end; at += kPanelPart) {
    const size_t here = std::min(kPanelPart, end - at);
    Buffer<float> packed(ops_.packed_size(others_, here));
    ops_.pack_outputs(others_, here, 0, others_, own.data() + at, rows_.width(), packed.data());
    parts.push_back({at, here, std::move(packed)});
  }
  return parts;
}

// to = bias + the products of one factor
void FactoredPanel::multiply(const Parts& parts, const float* rows, size_t count, const float* bias, float* to,
                             float* part, float* scratch) const {
  for (const Part& p : parts) {
    const bool begins = &p == parts.data();
    ops_.linear(count, others_, p.size, rows + p.at, rows_.width(), p.packed.data(), begins ? bias : nullptr,
                Activation::kNone, begins ? to : part, others_, scratch);
    if (!begins) ops_.add(count, others_, part, others_, to, others_);
  }
}

void FactoredPanel::products(size_t first, size_t count, float* products) const {
  const float* rows = rows_.run(first);
  const size_t size = count * others_;
  Buffer<float> u(size), w(size), part(size), scratch(ops_.linear_scratch(kPanelPart));
  const std::vector<float> ones(others_, 1.0f);
  std::fill_n(products, size, 0.0f);
  for (size_t p = 0; p < pieces_.size(); p++) {
    const auto& [us, ws] = factors_[p];
    const bool plain = pieces_[p].u_size == 0;
    if (ws.empty()) std::fill_n(w.data(), size, plain ? 0.0f : 1.0f);
    multiply(ws, rows, count, plain ? nullptr : ones.data(), w.data(), part.data(), scratch.data());
    if (plain) {
      ops_.add(count, others_, w.data(), others_, products, others_);
      continue;
    }
    multiply(us, rows, count, nullptr, u.data(), part.data(), scratch.data());
    ops_.multiply_add(count, others_, {u.data(), others_}, {w.data(), others_}, {products, others_});
  }
}

SparsePanel::SparsePanel(SparseRows rows, size_t size, const std::vector<uint32_t>& others)
    : rows_(rows), others_(others.size()), place_(size, 0) {
  value_.resize(others_);
  for (size_t j = 0; j < others_; j++)
    for (uint64_t a = rows.offsets[others[j]]; a < rows.offsets[others[j] + 1]; a++) {
      uint32_t& place = place_[rows.index[a]];
      if (place == 0) {
        place = uint32_t(value_.size() / others_);
        value_.resize(value_.size() + others_);
      }
      value_[place * others_ + j] = rows.value[a];
    }
}

void SparsePanel::products(size_t first, size_t count, float* products) const {
  std::vector<double> sum(others_);
  for (size_t i = first; i < first + count; i++, products += others_) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (uint64_t a = rows_.offsets[i]; a < rows_.offsets[i + 1]; a++)
      if (const size_t place = place_[rows_.index[a]])
        add_scaled(sum.data(), value_.data() + place * others_, others_, double(rows_.value[a]));
    std::copy(sum.begin(), sum.end(), products);
  }
}

}  // namespace warp
