#include "scoring/device_layers.h"

#include <algorithm>
#include <future>
#include <numeric>

namespace warp {
namespace {

constexpr size_t kAhead = 2;  // tiles queued while one computes

// Marks of the backend, by what they follow; two of each, in turn.
enum { kTileDone = 0, kLayerDone = 2, kCopied = 4 };

}  // namespace

class DeviceForward::Run {
 public:
  Run(DeviceForward& owner, Context& context)
      : model_(owner.model_), backend_(owner.backend_), path_(owner.path_), texts_(owner.texts_), plan_(owner.plan_),
        context_(context), ops_(backend_.ops()), hidden_(model_.spec.hidden), points_(path_.points() + 2),
        total_(double(plan_.forward.tokens) * double(model_.spec.layers) * double(points_)),
        room_(backend_.memory(), plan_.forward.peak_bytes), sizes_(largest_layer(model_, path_)) {
    owner.features_ = features_ = room_.take<float>(size_t(points_) * texts_.texts() * hidden_);
  }

  void run() {
    const size_t kept = room_.used();
    learn_tables();
    size_t begin = 0;
    for (size_t end : plan_.forward.chunk_ends) {
      room_.back_to(kept);
      chunk(begin, end);
      begin = end;
    }
  }

 private:
  // Of the tables only some rows are used; what the path must know of a whole one is found before.
  void learn_tables() {
    const size_t before = room_.used();
    for (const std::string& name : tables_of(model_)) {
      if (!needs_values(path_, name)) continue;
      context_.check();
      DeviceStage whole(backend_, path_);
      whole.add(name);
      whole.send(room_.take<char>(whole.size()));
      room_.back_to(before);
    }
  }

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
    std::vector<uint32_t> word(rows_), position(rows_), type(rows_), positions(longest_text(texts_)),
        types(model_.spec.types);
    std::iota(positions.begin(), positions.end(), 0);
    std::iota(types.begin(), types.end(), 0);
    for (size_t i = 0; i < rows_; i++) {
      word[i] = uint32_t(std::lower_bound(used.begin(), used.end(), texts_.ids[first + i]) - used.begin());
      if (!texts_.types.empty()) type[i] = texts_.types[first + i];
    }
    for (size_t t = first_text; t < last_text; t++)
      for (uint32_t i = texts_.offsets[t]; i < texts_.offsets[t + 1]; i++) position[i - first] = i - texts_.offsets[t];
    const uint32_t* index[] = {uploaded(word), uploaded(position), uploaded(type)};

    DeviceStage stage(backend_, path_);
    std::vector<std::string> tables = {plan.words, plan.positions};
    stage.add_rows(plan.words, used, uploaded(used));
    stage.add_rows(plan.positions, positions, uploaded(positions));
    if (!plan.types.empty()) {
      stage.add_rows(plan.types, types, uploaded(types));
      tables.push_back(plan.types);
    }
    std::vector<std::string> all = tables;
    for (const std::string& name : {plan.gain, plan.bias})
      if (!name.empty()) {
        stage.add(name);
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
    DeviceStage stage(backend_, path_);
    for (const std::string& name : names_of(model_.layer(layer))) {
      context_.check();
      stage.add(name);
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
    DeviceStage stage(backend_, path_);
    for (const std::string& name : norm) stage.add(name);
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
        if (norm.empty()) ops_.gather(views_[i].texts, hidden_, activations(p, i), hidden_, nullptr, to, hidden_);
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

DeviceRoom DeviceForward::room() const {
  DeviceRoom all(backend_.memory(), plan_.forward.peak_bytes);
  all.take<float>((size_t(path_.points()) + 2) * texts_.texts() * model_.spec.hidden);
  return all;
}

}  // namespace warp
