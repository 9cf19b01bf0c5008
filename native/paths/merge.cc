#include "paths/merge.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

#include "files/input.h"
#include "files/writer.h"

namespace warp {
namespace {

constexpr uint64_t kRange = 1 << 17;  // elements: base, reference and one output stay in the second-level cache

struct Range {
  const MergeShard::Tensor* tensor;
  uint64_t begin, count;
};

std::vector<Range> ranges_of(const Path& path, const MergeShard& shard) {
  std::vector<Range> ranges;
  for (const MergeShard::Tensor& tensor : shard.tensors) {
    const uint64_t elements = path.base().info(tensor.name).elements(), align = path.align(tensor.name);
    const uint64_t step = (kRange + align - 1) / align * align;
    for (uint64_t begin = 0; begin < elements; begin += step)
      ranges.push_back({&tensor, begin, std::min(step, elements - begin)});
  }
  return ranges;
}

[[noreturn]] void refuse(const PathTensor& tensor, const Path& path, const Range& range, int k, size_t index) {
  float base, reference, value;
  tensor.point(-1, index, 1, &base);
  tensor.point(path.points(), index, 1, &reference);
  tensor.point(k, index, 1, &value);
  const std::string where = "tensor " + range.tensor->name + ", element " + std::to_string(range.begin + index);
  if (!std::isfinite(base) || !std::isfinite(reference))
    throw Error(Kind::kInput, "WEIGHTS_NOT_FINITE",
                where + ": " + std::to_string(base) + " in the base, " + std::to_string(reference) +
                    " in the reference",
                "such a model gives no predictions: use another checkpoint");
  throw Error(Kind::kInput, "OUTPUT_OVERFLOW",
              where + ": " + std::to_string(value) + " does not fit " + dtype_name(range.tensor->dtype),
              "give --dtype bf16 or f32");
}

class ShardWriter {
 public:
  ShardWriter(const Path& path, const MergeShard& shard, Context& context)
      : path_(path), shard_(shard), context_(context) {
    for (const MergeShard::Target& target : shard.targets)
      files_.push_back(std::make_unique<OutputFile>(target.file, shard.size));
  }

  void run(Threads& threads) {
    for (auto& file : files_) file->write(0, shard_.header.data(), shard_.header.size());
    for (const MergeShard::Copy& copy : shard_.copies) copy_bytes(copy);
    const std::vector<Range> ranges = ranges_of(path_, shard_);
    threads.parallel(ranges.size(), [&](size_t task, int worker) {
      // workers start at different files, so that they do not wait for one another's
      write_range(ranges[task], size_t(worker) * files_.size() / size_t(threads.count()));
    });
    for (auto& file : files_) file->finish();
  }

 private:
  void write_range(const Range& range, size_t start) {
    context_.check();
    const PathTensor tensor = path_.load_range(range.tensor->name, range.begin, range.count);
    const Dtype dtype = range.tensor->dtype;
    const size_t width = dtype_size(dtype), count = size_t(range.count);
    Buffer<char> out(count * width);
    const uint64_t offset = range.tensor->offset + range.begin * width;
    for (size_t i = 0; i < files_.size(); i++) {
      const size_t slot = (start + i) % files_.size();
      const int k = shard_.targets[slot].point;
      const size_t bad = tensor.write(k, 0, count, dtype, out.data());
      if (bad < count) refuse(tensor, path_, range, k, bad);
      files_[slot]->write(offset, out.data(), out.size());
      report(out.size());
    }
  }

  void copy_bytes(const MergeShard::Copy& copy) {
    const InputFile source(copy.file);
    Buffer<char> bytes(size_t(std::min<uint64_t>(copy.length, 1 << 20)));
    for (uint64_t done = 0; done < copy.length; done += bytes.size()) {
      context_.check();
      const uint64_t size = std::min<uint64_t>(bytes.size(), copy.length - done);
      source.read(copy.from + done, size, bytes.data(), "a buffer");
      for (auto& file : files_) file->write(copy.offset + done, bytes.data(), size);
      report(size * files_.size());
    }
  }

  void report(uint64_t bytes) {
    const uint64_t done = done_ += bytes;
    context_.progress(double(done), double(shard_.size) * double(files_.size()));
  }

  const Path& path_;
  const MergeShard& shard_;
  Context& context_;
  std::vector<std::unique_ptr<OutputFile>> files_;
  std::atomic<uint64_t> done_{0};
};

}  // namespace

void write_shard(const Path& path, const MergeShard& shard, Threads& threads, Context& context) {
  ShardWriter(path, shard, context).run(threads);
}

}  // namespace warp
