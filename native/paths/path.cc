#include "paths/path.h"

#include <algorithm>

namespace warp {

Path::Path(std::shared_ptr<const Weights> base, std::shared_ptr<const Weights> reference, PathOptions options)
    : base_(std::move(base)), reference_(std::move(reference)), options_(std::move(options)) {
  for (double lambda : options_.lambdas) {
    const double c = options_.quadratic_c;
    weights_.push_back(options_.family == "quadratic" ? c * lambda * lambda + (1 - c) * lambda : lambda);
  }
}

uint64_t Path::load_bytes(const std::string& name) const {
  const TensorInfo &b = base_->info(name), &r = reference_->info(name);
  return b.elements() * dtype_size(b.dtype) + r.elements() * dtype_size(r.dtype);
}

PathTensor Path::load(const std::string& name) const {
  PathTensor tensor;
  const TensorInfo &b = base_->info(name), &r = reference_->info(name);
  tensor.path_ = this;
  tensor.elements_ = b.elements();
  tensor.base_dtype_ = b.dtype;
  tensor.reference_dtype_ = r.dtype;
  tensor.base_.resize(tensor.elements_ * dtype_size(b.dtype));
  tensor.reference_.resize(tensor.elements_ * dtype_size(r.dtype));
  base_->read(name, 0, tensor.elements_, tensor.base_.data());
  reference_->read(name, 0, tensor.elements_, tensor.reference_.data());
  return tensor;
}

PathTensor Path::load_rows(const std::string& name, const std::vector<uint32_t>& rows) const {
  PathTensor tensor;
  const TensorInfo &b = base_->info(name), &r = reference_->info(name);
  const size_t width = b.row_elements(), base_row = width * dtype_size(b.dtype), reference_row = width * dtype_size(r.dtype);
  tensor.path_ = this;
  tensor.elements_ = rows.size() * width;
  tensor.base_dtype_ = b.dtype;
  tensor.reference_dtype_ = r.dtype;
  tensor.base_.resize(rows.size() * base_row);
  tensor.reference_.resize(rows.size() * reference_row);
  for (size_t i = 0; i < rows.size();) {
    size_t run = 1;  // neighbouring rows come in one read
    while (i + run < rows.size() && rows[i + run] == rows[i] + run) run++;
    base_->read(name, rows[i] * uint64_t(width), run * width, tensor.base_.data() + i * base_row);
    reference_->read(name, rows[i] * uint64_t(width), run * width, tensor.reference_.data() + i * reference_row);
    i += run;
  }
  return tensor;
}

void PathTensor::point(int k, size_t begin, size_t count, float* out) const {
  const char* b = base_.data() + begin * dtype_size(base_dtype_);
  const char* r = reference_.data() + begin * dtype_size(reference_dtype_);
  const double weight = k < 0 ? 0 : k >= path_->points() ? 1 : path_->weights_[k];
  if (weight == 0) return to_float(base_dtype_, b, count, out);
  if (weight == 1) return to_float(reference_dtype_, r, count, out);
  constexpr size_t kStep = 1024;
  float left[kStep], right[kStep];
  for (size_t done = 0; done < count; done += kStep) {
    const size_t step = std::min(kStep, count - done);
    to_float(base_dtype_, b + done * dtype_size(base_dtype_), step, left);
    to_float(reference_dtype_, r + done * dtype_size(reference_dtype_), step, right);
    for (size_t i = 0; i < step; i++)
      out[done + i] = float(double(left[i]) + weight * (double(right[i]) - double(left[i])));
  }
}

}  // namespace warp
