#include "paths/path.h"

#include <algorithm>
#include <cmath>

namespace warp {
namespace {

using Branch = TensorConstants::Branch;

constexpr uint64_t kHeld = uint64_t(256) << 20;  // a pair of tensors up to this size is read once and held

void serial(size_t tasks, const std::function<void(size_t)>& body) {
  for (size_t task = 0; task < tasks; task++) body(task);
}

}  // namespace

Path::Path(std::shared_ptr<const Weights> base, std::shared_ptr<const Weights> reference, PathOptions options,
           std::vector<std::shared_ptr<const Weights>> checkpoints)
    : base_(std::move(base)), reference_(std::move(reference)), options_(std::move(options)),
      checkpoints_(std::move(checkpoints)) {
  if (options_.family == "trajectory" ? checkpoints_.size() != options_.lambdas.size() : !checkpoints_.empty())
    throw internal_error("a trajectory has one checkpoint per point, other paths have none");
  if (options_.family != "trajectory" && options_.family != "linear")  // a line has no ends
    for (double lambda : options_.lambdas)
      if (!(lambda >= 0 && lambda <= 1)) throw internal_error("lambda outside [0, 1]");
}

// of θ₀ + wδ
double Path::weight(double lambda) const {
  const double c = options_.quadratic_c;
  return options_.family == "quadratic" ? c * lambda * lambda + (1 - c) * lambda : lambda;
}

paths::PairSource Path::source(const std::string& name) const {
  const TensorInfo& info = base_->info(name);
  paths::PairSource pair;
  pair.name = name;
  pair.elements = info.elements();
  pair.width = info.shape.size() < 2 ? pair.elements : info.row_elements();
  pair.fetch = [this, name](uint64_t begin, size_t count, float* l, float* r) {
    base_->read_float(name, begin, count, l);
    reference_->read_float(name, begin, count, r);
    return paths::Values{l, r};
  };
  return pair;
}

uint64_t Path::align(const std::string& name) const {
  return paths::needs_rows(options_) ? std::max<uint64_t>(1, source(name).width) : 1;
}

bool Path::masked() const {
  return options_.family == "ties" || options_.family == "breadcrumbs" || options_.family == "dare" ||
         options_.family == "della";
}

uint64_t Path::load_bytes(const std::string& name) const {
  const TensorInfo &b = base_->info(name), &r = reference_->info(name);
  uint64_t each = dtype_size(b.dtype) + dtype_size(r.dtype) + (masked() ? 1 : 0);
  for (const auto& checkpoint : checkpoints_) each += dtype_size(checkpoint->info(name).dtype);
  return b.elements() * each;
}

TensorConstants Path::find(const std::string& name, const PathTensor* held, const paths::Runner& run) const {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto known = constants_.find(name);
    if (known != constants_.end()) return known->second;
  }
  paths::PairSource pair = source(name);
  if (held)
    pair.fetch = [held](uint64_t begin, size_t count, float* l, float* r) {
      return paths::Values{held->base_.values(begin, count, l), held->reference_.values(begin, count, r)};
    };
  const Dtype dtype = base_->info(name).dtype;
  if (held && dtype == reference_->info(name).dtype && dtype != Dtype::kF64)
    pair.stored = [held, dtype](uint64_t begin) {
      const size_t at = size_t(begin) * dtype_size(dtype);
      return paths::StoredPair{dtype, held->base_.bytes.data() + at, held->reference_.bytes.data() + at};
    };
  const TensorConstants constants = paths::find_constants(pair, options_, run);
  std::lock_guard<std::mutex> lock(mutex_);
  return constants_.emplace(name, constants).first->second;
}

TensorConstants Path::constants(const std::string& name) const { return find(name, nullptr, serial); }

void Path::prepare(Threads& threads, Context& context) const {
  double done = 0, total = 0;
  std::vector<std::string> names;
  for (const auto& [name, info] : base_->tensors()) {
    if (!reference_->has(name)) continue;
    names.push_back(name);
    total += double(load_bytes(name));
  }
  const paths::Runner run = [&](size_t tasks, const std::function<void(size_t)>& body) {
    threads.parallel(tasks, [&](size_t task, int) {
      context.check();
      body(task);
    });
  };
  const bool selects = options_.family == "ties" || options_.family == "breadcrumbs";  // reads more than once
  for (const std::string& name : names) {
    const double bytes = double(load_bytes(name));
    if (bytes <= double(kHeld) && selects) {
      PathTensor held = empty(name, base_->info(name).elements());
      base_->read(name, 0, held.elements_, held.base_.bytes.data());
      reference_->read(name, 0, held.elements_, held.reference_.bytes.data());
      find(name, &held, run);
    } else {
      find(name, nullptr, run);
    }
    context.progress(done += bytes, total);
  }
}

bool Path::moves(Context& context) const {
  constexpr uint64_t kStep = 1 << 16;
  Buffer<float> l(kStep), r(kStep);
  for (const auto& [name, info] : base_->tensors()) {
    const std::vector<std::string>& fixed = options_.fixed;
    if (!reference_->has(name) || std::find(fixed.begin(), fixed.end(), name) != fixed.end()) continue;
    for (uint64_t at = 0; at < info.elements(); at += kStep) {
      context.check();
      const uint64_t count = std::min(kStep, info.elements() - at);
      base_->read_float(name, at, count, l.data());
      reference_->read_float(name, at, count, r.data());
      if (!std::equal(l.data(), l.data() + count, r.data())) return true;
    }
  }
  return false;
}

std::vector<TensorRecord> Path::record() const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<TensorRecord> records;
  for (const auto& [name, constants] : constants_)
    records.push_back({name, constants.reason, base_->info(name).elements(), constants.kept, constants.scale});
  return records;
}

PathTensor Path::empty(const std::string& name, uint64_t elements) const {
  PathTensor tensor;
  tensor.path_ = this;
  tensor.elements_ = size_t(elements);
  const auto side = [&](const Weights& weights) {
    PathTensor::Side made;
    made.dtype = weights.info(name).dtype;
    made.bytes = Buffer<char>(tensor.elements_ * dtype_size(made.dtype));
    return made;
  };
  tensor.base_ = side(*base_);
  tensor.reference_ = side(*reference_);
  for (const auto& checkpoint : checkpoints_) tensor.checkpoints_.push_back(side(*checkpoint));
  return tensor;
}

// The mask of elements [at, at + count) of what is loaded, which are first … of the tensor.
void Path::mask(const std::string& name, uint64_t first, size_t at, size_t count, PathTensor& tensor) const {
  const paths::PairSource pair = source(name);
  const size_t align = paths::needs_rows(options_) ? size_t(std::max<uint64_t>(1, pair.width)) : 4;
  const size_t step = (paths::kBlock * 8 + align - 1) / align * align;
  Buffer<float> l(std::min(step, count)), r(std::min(step, count));
  for (size_t done = 0; done < count; done += step) {
    const size_t size = std::min(step, count - done);
    const float* base = tensor.base_.values(at + done, size, l.data());
    const float* reference = tensor.reference_.values(at + done, size, r.data());
    paths::fill_mask(pair, options_, tensor.constants_, first + done, size, base, reference,
                     tensor.keep_.data() + at + done);
  }
}

PathTensor Path::load(const std::string& name) const { return load_range(name, 0, base_->info(name).elements()); }

PathTensor Path::read_range(const std::string& name, uint64_t begin, uint64_t count) const {
  PathTensor tensor = empty(name, count);
  base_->read(name, begin, count, tensor.base_.bytes.data());
  reference_->read(name, begin, count, tensor.reference_.bytes.data());
  for (size_t i = 0; i < checkpoints_.size(); i++)
    checkpoints_[i]->read(name, begin, count, tensor.checkpoints_[i].bytes.data());
  return tensor;
}

PathTensor Path::load_range(const std::string& name, uint64_t begin, uint64_t count) const {
  PathTensor tensor = read_range(name, begin, count);
  const bool whole = count == base_->info(name).elements();
  tensor.constants_ = find(name, whole ? &tensor : nullptr, serial);
  if (tensor.constants_.branch == Branch::kMask) {
    tensor.keep_ = Buffer<uint8_t>(tensor.elements_);
    mask(name, begin, 0, tensor.elements_, tensor);
  }
  return tensor;
}

// Runs of neighbouring rows: body(first of the run in `rows`, how many).
template <class Body>
static void for_runs(const std::vector<uint32_t>& rows, Body body) {
  for (size_t i = 0, run = 1; i < rows.size(); i += run, run = 1) {
    while (i + run < rows.size() && rows[i + run] == rows[i] + run) run++;
    body(i, run);
  }
}

PathTensor Path::read_rows(const std::string& name, const std::vector<uint32_t>& rows) const {
  const size_t width = size_t(base_->info(name).row_elements());
  PathTensor tensor = empty(name, rows.size() * width);
  for_runs(rows, [&](size_t i, size_t run) {  // one read each
    const auto read = [&](const Weights& weights, PathTensor::Side& side) {
      weights.read(name, rows[i] * uint64_t(width), run * width,
                   side.bytes.data() + i * width * dtype_size(side.dtype));
    };
    read(*base_, tensor.base_);
    read(*reference_, tensor.reference_);
    for (size_t c = 0; c < checkpoints_.size(); c++) read(*checkpoints_[c], tensor.checkpoints_[c]);
  });
  return tensor;
}

PathTensor Path::load_rows(const std::string& name, const std::vector<uint32_t>& rows) const {
  PathTensor tensor = read_rows(name, rows);
  tensor.constants_ = find(name, nullptr, serial);
  if (tensor.constants_.branch != Branch::kMask) return tensor;
  if (paths::needs_rows(options_) && base_->info(name).shape.size() < 2)
    throw internal_error(name + ": a one-dimensional tensor is one row");
  const size_t width = size_t(base_->info(name).row_elements());
  tensor.keep_ = Buffer<uint8_t>(tensor.elements_);
  for_runs(rows, [&](size_t i, size_t run) { mask(name, rows[i] * uint64_t(width), i * width, run * width, tensor); });
  return tensor;
}

void Path::take_known(const std::string& name, PathTensor& tensor) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = constants_.find(name);
  if (found != constants_.end()) tensor.constants_ = found->second;
}

PathTensor Path::load_stored(const std::string& name) const {
  PathTensor tensor = read_range(name, 0, base_->info(name).elements());
  take_known(name, tensor);
  return tensor;
}

PathTensor Path::load_stored_rows(const std::string& name, const std::vector<uint32_t>& rows) const {
  PathTensor tensor = read_rows(name, rows);
  take_known(name, tensor);
  return tensor;
}

bool Path::known(const std::string& name) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return constants_.count(name) != 0;
}

void Path::adopt(const std::string& name, const TensorConstants& constants, PathTensor& tensor) const {
  tensor.constants_ = constants;
  std::lock_guard<std::mutex> lock(mutex_);
  constants_.emplace(name, constants);
}

void PathTensor::Side::decode(size_t begin, size_t count, float* out) const {
  paths::kernels().decode(dtype, bytes.data() + begin * dtype_size(dtype), count, out);
}

const float* PathTensor::Side::values(size_t begin, size_t count, float* scratch) const {
  if (dtype == Dtype::kF32) return reinterpret_cast<const float*>(bytes.data()) + begin;
  decode(begin, count, scratch);
  return scratch;
}

// The side that θ(λ) is, or null.
const PathTensor::Side* PathTensor::exact(double lambda) const {
  if (lambda == 0 || constants_.branch == Branch::kFixed) return &base_;
  if (constants_.branch == Branch::kCheckpoints) {
    const std::vector<double>& own = path_->options_.lambdas;
    const auto found = std::find(own.begin(), own.end(), lambda);
    if (lambda != 1 && found == own.end())
      throw Error(Kind::kUsage, "LAMBDA_UNKNOWN", "a trajectory has values at its checkpoints only",
                  "take a lambda of the path");
    return lambda == 1 ? &reference_ : &checkpoints_[size_t(found - own.begin())];
  }
  return lambda == 1 && constants_.branch != Branch::kMask ? &reference_ : nullptr;
}

const PathTensor::Side* PathTensor::exact(int k) const {
  if (k < 0) return &base_;
  return k >= path_->points() ? &reference_ : exact(path_->options_.lambdas[size_t(k)]);
}

PathTensor::Formula PathTensor::formula_at(double lambda) const {
  switch (constants_.branch) {
    case Branch::kAngle: {
      const double angle = constants_.angle, sine = std::sin(angle);
      return {Formula::kBlend, std::sin((1 - lambda) * angle) / sine, std::sin(lambda * angle) / sine};
    }
    case Branch::kClip: return {Formula::kClip, lambda * constants_.largest, 0};
    case Branch::kMask: return {Formula::kMasked, path_->weight(lambda) * constants_.scale, 0};
    default: return {Formula::kLerp, path_->weight(lambda), 0};
  }
}

PathTensor::Formula PathTensor::formula(int k) const {
  if (const Side* side = exact(k))
    return {side == &base_        ? Formula::kBase
            : side == &reference_ ? Formula::kReference
                                  : Formula::kCheckpoint,
            side == &base_ || side == &reference_ ? 0 : double(side - checkpoints_.data()), 0};
  return formula_at(path_->options_.lambdas[size_t(k)]);
}

void PathTensor::point(int k, size_t begin, size_t count, float* out) const {
  if (const Side* side = exact(k)) return side->decode(begin, count, out);
  form(path_->options_.lambdas[size_t(k)], begin, count, out);
}

void PathTensor::at(double lambda, size_t begin, size_t count, float* out) const {
  if (const Side* side = exact(lambda)) return side->decode(begin, count, out);
  form(lambda, begin, count, out);
}

void PathTensor::form(double lambda, size_t begin, size_t count, float* out) const {
  const Formula f = formula_at(lambda);
  const paths::Kernels& kernels = paths::kernels();
  float left[paths::kBlock], right[paths::kBlock];
  for (size_t done = 0; done < count; done += paths::kBlock) {
    const size_t at = begin + done, size = std::min(paths::kBlock, count - done);
    const float *l = base_.values(at, size, left), *r = reference_.values(at, size, right);
    switch (f.family) {
      case Formula::kBlend: kernels.blend(l, r, f.a, f.b, size, out + done); break;
      case Formula::kClip: kernels.clip(l, r, f.a, size, out + done); break;
      case Formula::kMasked: kernels.masked(l, r, keep_.data() + at, f.a, size, out + done); break;
      default: kernels.lerp(l, r, f.a, size, out + done);
    }
  }
}

size_t PathTensor::write(int k, size_t begin, size_t count, Dtype dtype, char* out) const {
  const size_t width = dtype_size(dtype);
  const Side* side = exact(k);
  if (!side && width == 2 && base_.dtype == dtype && reference_.dtype == dtype)
    return paths::kernels().merge(dtype, formula(k), base_.bytes.data() + 2 * begin,
                                  reference_.bytes.data() + 2 * begin, keep_.data() + begin, count, out);
  float scratch[paths::kBlock];
  for (size_t at = 0; at < count; at += paths::kBlock) {
    const size_t size = std::min(paths::kBlock, count - at);
    float* values = dtype == Dtype::kF32 ? reinterpret_cast<float*>(out) + at : scratch;  // then checked in place
    point(k, begin + at, size, values);
    const size_t bad = paths::kernels().encode(dtype, values, size, out + at * width);
    if (bad < size) return at + bad;
  }
  // F64 and the payload of what was stored pass through float32 above, but not from here
  if (side && side->dtype == dtype) std::copy_n(side->bytes.data() + begin * width, count * width, out);
  return count;
}

}  // namespace warp
