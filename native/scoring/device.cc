#include "scoring/device.h"

#include <algorithm>
#include <future>
#include <numeric>
#include <set>

#include "scoring/device_stage.h"

namespace warp {
namespace {

constexpr size_t kAhead = 2;  // tiles queued while one computes

// Marks of the backend, by what they follow; two of each, in turn.
enum { kTileDone = 0, kLayerDone = 2, kCopied = 4 };

std::set<std::string> names_of(const LayerPlan& plan) {
  std::set<std::string> names(plan.vectors.begin(), plan.vectors.end());
  for (const LinearPlan& linear : plan.linears)
    for (const LinearPlan::Part& part : linear.parts) names.insert({part.weight, part.bias});
  return names;
}

struct LayerSizes {
  size_t stage = 0, point = 0, turned = 0;  // bytes: stored tensors, θ_k, a tensor before it is transposed
};

LayerSizes sizes_of(const Path& path, const LayerPlan& plan) {
  LayerSizes sizes;
  for (const std::string& name : names_of(plan)) sizes.stage += DeviceStage::bytes(path, name, path.base().info(name).elements());
  for (const LinearPlan& linear : plan.linears) {
    sizes.point += device_aligned(linear.outputs() * linear.inputs * 4) + device_aligned(linear.outputs() * 4);
    if (linear.by_inputs) sizes.turned = std::max(sizes.turned, device_aligned(linear.inputs * linear.stored_outputs * 4));
  }
  for (const std::string& name : plan.vectors) sizes.point += device_aligned(path.base().info(name).elements() * 4);
  return sizes;
}

LayerSizes largest_layer(const Model& model, const Path& path) {
  LayerSizes most;
  for (size_t i = 0; i < model.spec.layers; i++) {
    const LayerSizes here = sizes_of(path, model.layer(i));
    most = {std::max(most.stage, here.stage), std::max(most.point, here.point), std::max(most.turned, here.turned)};
  }
  return most;
}

}  // namespace

class DeviceForward::Run {
 public:
  Run(DeviceForward& owner, Context& context)
      : model_(owner.model_), backend_(owner.backend_), path_(owner.path_), texts_(owner.texts_), plan_(owner.plan_),
        context_(context), ops_(backend_.ops()), hidden_(model_.spec.hidden), points_(path_.points() + 2),
        total_(double(plan_.forward.tokens) * double(model_.spec.layers) * double(points_)),
        room_(backend_.memory(), plan_.forward.peak_bytes), sizes_(largest_layer(model_, path_)) {
    owner.room_ = room_.take<char>(owner.kept_bytes_);
    owner.features_ = features_ = room_.take<float>(size_t(points_) * texts_.texts() * hidden_);
  }

  void run() {
    const size_t kept = room_.used();
    size_t begin = 0;
    for (size_t end : plan_.forward.chunk_ends) {
      room_.back_to(kept);
      chunk(begin, end);
      begin = end;
    }
  }

 private:
  void chunk(size_t begin, size_t end) {
    begin_ = begin;
    starts_.assign(1, 0);
    for (size_t i = begin; i < end; i++) starts_.push_back(starts_.back() + plan_.tiles[i].tokens());
    rows_ = starts_.back();
    x_ = room_.take<float>(size_t(points_) * rows_ * hidden_);
    upload_tiles(end);
    const size_t shared = room_.used();  // what follows is for the embedding, then for the layers
    embed(end);
    room_.back_to(shared);
    layers();
    room_.back_to(shared);
    finish();
  }

  float* activations(int point, size_t tile) { return x_ + (size_t(point) * rows_ + starts_[tile]) * hidden_; }

  template <class T>
  T* uploaded(const std::vector<T>& values) {
    T* to = room_.take<T>(values.size());
    backend_.upload(to, values.data(), values.size() * sizeof(T), cuda::Queue::kCompute);
    return to;
  }

  void upload_tiles(size_t end) {
    views_.clear();
    std::vector<uint32_t> all;
    std::vector<size_t> at;
    for (size_t i = begin_; i < end; i++) {
      const Tile& tile = plan_.tiles[i];
      for (const auto* part : {&tile.offsets, &tile.selected, &tile.rows}) {
        at.push_back(all.size());
        all.insert(all.end(), part->begin(), part->end());
      }
    }
    const uint32_t* there = uploaded(all);
    for (size_t i = begin_; i < end; i++) {
      const Tile& tile = plan_.tiles[i];
      const size_t* parts = &at[(i - begin_) * 3];
      views_.push_back({tile.texts, tile.tokens(), there + parts[0], there + parts[1], there + parts[2]});
    }
  }

  // Embedding rows of the chunk's own tokens only; then the normalisation where there is one.
  void embed(size_t end) {
    const EmbeddingPlan plan = model_.embedding();
    const size_t first_text = plan_.tiles[begin_].first_text, first = texts_.offsets[first_text];
    const size_t last_text = plan_.tiles[end - 1].first_text + plan_.tiles[end - 1].texts;
    std::vector<uint32_t> used(texts_.ids.begin() + first, texts_.ids.begin() + first + rows_);
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    std::vector<uint32_t> word(rows_), position(rows_), type(rows_), positions(longest_text(texts_)), types(model_.spec.types);
    std::iota(positions.begin(), positions.end(), 0);
    std::iota(types.begin(), types.end(), 0);
    for (size_t i = 0; i < rows_; i++) {
      word[i] = uint32_t(std::lower_bound(used.begin(), used.end(), texts_.ids[first + i]) - used.begin());
      if (!texts_.types.empty()) type[i] = texts_.types[first + i];
    }
    for (size_t t = first_text; t < last_text; t++)
      for (uint32_t i = texts_.offsets[t]; i < texts_.offsets[t + 1]; i++) position[i - first] = i - texts_.offsets[t];
    const uint32_t* index[] = {uploaded(word), uploaded(position), uploaded(type)};

    DeviceStage stage(backend_);
    std::vector<std::string> tables = {plan.words, plan.positions};
    stage.add(plan.words, path_.load_rows(plan.words, used));
    stage.add(plan.positions, path_.load_rows(plan.positions, positions));
    if (!plan.types.empty()) {
      stage.add(plan.types, path_.load_rows(plan.types, types));
      tables.push_back(plan.types);
    }
    std::vector<std::string> all = tables;
    for (const std::string& name : {plan.gain, plan.bias})
      if (!name.empty()) {
        stage.add(name, path_.load(name));
        all.push_back(name);
      }
    stage.send(room_.take<char>(stage.size()));
    std::vector<float*> formed;
    for (const std::string& name : all) formed.push_back(room_.take<float>(stage.elements(name)));
    for (int p = 0; p < points_; p++) {
      for (size_t i = 0; i < all.size(); i++) stage.form(all[i], p - 1, 0, stage.elements(all[i]), formed[i]);
      for (size_t i = 0; i < views_.size(); i++) {
        context_.check();
        const uint32_t* here[] = {index[0] + starts_[i], index[1] + starts_[i], index[2] + starts_[i]};
        float* x = activations(p, i);
        ops_.embed(views_[i].tokens, hidden_, tables.size(), formed.data(), here, x, hidden_);
        if (all.size() > tables.size())
          ops_.layer_norm(views_[i].tokens, hidden_, x, hidden_, nullptr, 0, formed[tables.size()],
                          formed[tables.size() + 1], model_.spec.epsilon, x, hidden_);
      }
    }
  }

  void layers() {
    char* stages[] = {room_.take<char>(sizes_.stage), room_.take<char>(sizes_.stage)};
    float* turned = room_.take<float>(sizes_.turned / sizeof(float));
    const size_t before = room_.used(), count = model_.spec.layers;
    for (int i : {0, 1}) backend_.mark(kLayerDone + i, cuda::Queue::kCompute);  // the embedding, whose room this was
    const auto fetch = [&](size_t layer) {
      return std::async(std::launch::async, [this, layer, memory = stages[layer % 2]] { return load(layer, memory); });
    };
    std::future<DeviceStage> next = fetch(0);
    for (size_t layer = 0; layer < count; layer++) {
      const DeviceStage stage = next.get();
      backend_.hold(int(kCopied + layer % 2), cuda::Queue::kCompute);
      if (layer + 1 < count) next = fetch(layer + 1);
      const LayerPlan plan = model_.layer(layer);
      room_.back_to(before);
      const LayerPoint weights = allocate(stage, plan);
      float* scratch = room_.take<float>(model_.scratch(ops_, largest_tile(plan_.tiles), longest_text(texts_)));
      for (int p = 0; p < points_; p++) {
        form(stage, plan, p - 1, weights, turned);
        for (size_t i = 0; i < views_.size(); i++) {
          before_tile();
          model_.run(ops_, weights, views_[i], layer + 1 == count, activations(p, i), scratch);
          after_tile(views_[i].tokens);
        }
      }
      backend_.mark(int(kLayerDone + layer % 2), cuda::Queue::kCompute);
    }
    while (passed_ < queued_) pass();
  }

  // Two tiles are queued ahead of the device at most: an abort does not wait long, and progress is what is done.
  void before_tile() {
    context_.check();
    if (queued_ - passed_ == kAhead) pass();
  }
  void after_tile(size_t tokens) {
    backend_.mark(int(kTileDone + queued_ % kAhead), cuda::Queue::kCompute);
    tokens_[queued_++ % kAhead] = double(tokens);
  }
  void pass() {
    backend_.wait(int(kTileDone + passed_ % kAhead));
    done_ += tokens_[passed_++ % kAhead];
    context_.progress(done_, total_);
  }

  // In a thread of its own. The copy queue waits until the device has done what used `memory` before.
  DeviceStage load(size_t layer, char* memory) {
    backend_.bind();
    DeviceStage stage(backend_);
    for (const std::string& name : names_of(model_.layer(layer))) {
      context_.check();
      stage.add(name, path_.load(name));
    }
    if (layer > 0) backend_.wait(int(kCopied + (layer + 1) % 2));  // the staging memory is free again
    backend_.hold(int(kLayerDone + layer % 2), cuda::Queue::kCopy);
    stage.send(backend_.host_memory(), memory);
    backend_.mark(int(kCopied + layer % 2), cuda::Queue::kCopy);
    return stage;
  }

  LayerPoint allocate(const DeviceStage& stage, const LayerPlan& plan) {
    LayerPoint point;
    for (const LinearPlan& linear : plan.linears) {
      point.packed.push_back(room_.take<float>(linear.outputs() * linear.inputs));
      point.bias.push_back(room_.take<float>(linear.outputs()));
    }
    for (const std::string& name : plan.vectors) point.vectors.push_back(room_.take<float>(stage.elements(name)));
    return point;
  }

  void form(const DeviceStage& stage, const LayerPlan& plan, int k, const LayerPoint& point, float* turned) {
    std::string in_turned;  // the tensor that lies there now: GPT-2 takes two linear layers from one
    for (size_t i = 0; i < plan.linears.size(); i++) {
      const LinearPlan& linear = plan.linears[i];
      for (size_t j = 0; j < linear.parts.size(); j++) {
        const LinearPlan::Part& part = linear.parts[j];
        float* packed = point.packed[i] + j * linear.part_outputs * linear.inputs;
        if (!linear.by_inputs) {
          stage.form(part.weight, k, 0, linear.part_outputs * linear.inputs, packed);
        } else {
          if (in_turned != part.weight) stage.form(part.weight, k, 0, stage.elements(part.weight), turned);
          in_turned = part.weight;
          backend_.transpose(linear.inputs, linear.part_outputs, turned + part.first, linear.stored_outputs, packed,
                             linear.inputs);
        }
        stage.form(part.bias, k, part.first, linear.part_outputs, point.bias[i] + j * linear.part_outputs);
      }
    }
    for (size_t i = 0; i < plan.vectors.size(); i++)
      stage.form(plan.vectors[i], k, 0, stage.elements(plan.vectors[i]), point.vectors[i]);
  }

  // The selected rows, which the last layer left at the front of each tile, go to the head inputs.
  void finish() {
    const std::vector<std::string> norm = model_.final_norm();
    DeviceStage stage(backend_);
    for (const std::string& name : norm) stage.add(name, path_.load(name));
    stage.send(room_.take<char>(stage.size()));
    float *gain = room_.take<float>(hidden_), *bias = room_.take<float>(hidden_);
    for (int p = 0; p < points_; p++) {
      context_.check();
      if (!norm.empty()) {
        stage.form(norm[0], p - 1, 0, hidden_, gain);
        stage.form(norm[1], p - 1, 0, hidden_, bias);
      }
      for (size_t i = 0; i < views_.size(); i++) {
        float* to = features_ + (size_t(p) * texts_.texts() + plan_.tiles[begin_ + i].first_text) * hidden_;
        if (norm.empty())
          ops_.gather(views_[i].texts, hidden_, activations(p, i), hidden_, nullptr, to, hidden_);
        else
          ops_.layer_norm(views_[i].texts, hidden_, activations(p, i), hidden_, nullptr, 0, gain, bias,
                          model_.spec.epsilon, to, hidden_);
      }
    }
  }

  const Model& model_;
  cuda::Backend& backend_;
  const Path& path_;
  const PackedTexts& texts_;
  const DevicePlan& plan_;
  Context& context_;
  const Ops& ops_;
  const size_t hidden_;
  const int points_;
  const double total_;
  DeviceRoom room_;
  const LayerSizes sizes_;
  float *features_ = nullptr, *x_ = nullptr;
  size_t begin_ = 0, rows_ = 0, queued_ = 0, passed_ = 0;  // the latter two: tiles
  double tokens_[kAhead] = {}, done_ = 0;
  std::vector<size_t> starts_;
  std::vector<TileView> views_;
};

DeviceForward::DeviceForward(const Model& model, cuda::Backend& backend, const Path& path, const PackedTexts& texts,
                             uint64_t budget, uint64_t kept_bytes, size_t tile_tokens)
    : model_(model), backend_(backend), path_(path), texts_(texts), kept_bytes_(kept_bytes) {
  plan_.tiles = cut_tiles(model.spec, texts, tile_tokens);
  backend_.set_longest(longest_text(texts));
  const uint64_t available = backend_.available();
  make_plan(budget == 0 ? available : std::min(budget, available));
}

void DeviceForward::make_plan(uint64_t budget) {
  const ModelSpec& spec = model_.spec;
  const uint64_t points = uint64_t(path_.points()) + 2, row = spec.hidden * sizeof(float);
  const LayerSizes layer = largest_layer(model_, path_);
  const uint64_t scratch = model_.scratch(backend_.ops(), largest_tile(plan_.tiles), longest_text(texts_)) * sizeof(float);
  const uint64_t layers = 2 * device_aligned(layer.stage) + layer.turned + layer.point + device_aligned(scratch);
  const uint64_t fixed = device_aligned(kept_bytes_) + device_aligned(points * texts_.texts() * row) +
                         device_aligned((3 * texts_.texts() + plan_.tiles.size()) * 4);
  const EmbeddingPlan embedding = model_.embedding();
  const auto cost = [&](uint64_t tokens) {
    const auto table = [&](const std::string& name, uint64_t rows) {
      if (name.empty()) return uint64_t(0);
      const uint64_t elements = rows * path_.base().info(name).row_elements();
      return DeviceStage::bytes(path_, name, elements) + device_aligned(elements * 4);
    };
    const uint64_t tables = table(embedding.words, std::min<uint64_t>(tokens, spec.vocabulary)) +
                            table(embedding.positions, longest_text(texts_)) + table(embedding.types, spec.types) +
                            table(embedding.gain, spec.hidden) + table(embedding.bias, spec.hidden);
    return fixed + device_aligned(points * tokens * row) + std::max(layers, 3 * device_aligned(tokens * 4) + tables);
  };
  ForwardPlan plan;
  plan.tiles = plan_.tiles.size();
  plan.tokens = texts_.offsets.back();
  plan.flops = double(points) * forward_flops(spec, plan_.tiles);
  plan.smallest_bytes = cost(largest_tile(plan_.tiles));
  if (plan.smallest_bytes > budget)
    throw Error(Kind::kResource, "DEVICE_MEMORY_BUDGET",
                "this run needs at least " + std::to_string(plan.smallest_bytes) + " bytes of device memory; there are " +
                    std::to_string(budget),
                "--device-memory " + std::to_string((plan.smallest_bytes >> 20) + 1) +
                    "MiB where the device has it; else fewer probes or points, or --device cpu");
  uint64_t tokens = 0;
  for (size_t i = 0; i < plan_.tiles.size(); i++) {
    if (tokens > 0 && cost(tokens + plan_.tiles[i].tokens()) > budget) {
      plan.chunk_ends.push_back(i);
      tokens = 0;
    }
    tokens += plan_.tiles[i].tokens();
    plan.peak_bytes = std::max(plan.peak_bytes, cost(tokens));
  }
  if (!plan_.tiles.empty()) plan.chunk_ends.push_back(plan_.tiles.size());
  plan.chunks = plan.chunk_ends.size();
  plan_.forward = std::move(plan);
  plan_.staging_bytes = layer.stage;
}

void DeviceForward::run(Context& context) {
  backend_.bind();
  for (;;) {
    try {
      backend_.reserve(plan_.forward.peak_bytes, plan_.staging_bytes);
      break;
    } catch (const Error& error) {
      // another program took some since the plan was made, or what is free lies in pieces: smaller chunks then
      if (error.code != "CUDA_OUT_OF_MEMORY" || plan_.forward.peak_bytes <= plan_.forward.smallest_bytes) throw;
      make_plan(std::max(plan_.forward.smallest_bytes, plan_.forward.peak_bytes / 4 * 3));
    }
  }
  Run(*this, context).run();
  backend_.mark(kTileDone, cuda::Queue::kCompute);
  backend_.wait(kTileDone);
}

Buffer<float> DeviceForward::download() const {
  Buffer<float> values((size_t(path_.points()) + 2) * texts_.texts() * model_.spec.hidden);
  backend_.download(values.data(), features_, values.size() * sizeof(float));
  return values;
}

}  // namespace warp
