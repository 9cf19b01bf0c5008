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
      : owner_(owner), program_(owner.program_), backend_(owner.backend_), path_(owner.path_), texts_(owner.texts_),
        plan_(owner.plan_), context_(context), ops_(backend_.ops()), hidden_(program_.hidden),
        points_(path_.points() + 2),
        total_(double(plan_.forward.tokens) * double(program_.layers.size()) * double(points_)),
        room_(backend_.memory(), plan_.forward.peak_bytes), sizes_(largest_layer(program_, path_)) {
    owner.features_ = features_ = room_.take<float>(size_t(points_) * texts_.texts() * program_.features());
    const size_t longest = longest_text(texts_);
    for (const RopePlan& rope : program_.ropes) {
      const Buffer<float> values = rope_values(rope, longest);
      float* there = room_.take<float>(values.size());
      backend_.upload(there, values.data(), values.size() * sizeof(float), cuda::Queue::kCompute);
      ropes_.push_back({there, there + values.size() / 2});
    }
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
    for (const TablePlan& table : program_.tables) {
      const std::string& name = table.tensor;
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
      for (const auto* part : {&tile.offsets, &tile.selected, &tile.rows, &tile.positions}) {
        at.push_back(all.size());
        all.insert(all.end(), part->begin(), part->end());
      }
    }
    const uint32_t* there = uploaded(all);
    for (size_t i = begin_; i < end; i++) {
      const Tile& tile = plan_.tiles[i];
      const size_t* parts = &at[(i - begin_) * 4];
      views_.push_back(
          {tile.texts, tile.tokens(), there + parts[0], there + parts[1], there + parts[2], there + parts[3]});
    }
  }

  // Embedding rows of the chunk's own tokens only; then the embedding's steps.
  void embed(size_t end) {
    const std::vector<TableRows> used = table_rows(program_, texts_, &plan_.tiles[begin_], plan_.tiles.data() + end);
    std::vector<const uint32_t*> index;
    DeviceStage stage(backend_, path_);
    for (size_t t = 0; t < used.size(); t++) {
      index.push_back(uploaded(used[t].index));
      stage.add_rows(program_.tables[t].tensor, used[t].rows, uploaded(used[t].rows));
    }
    stage.send(room_.take<char>(stage.size()));
    std::vector<float*> formed;
    for (const TablePlan& table : program_.tables) formed.push_back(room_.take<float>(stage.elements(table.tensor)));
    Around around(*this, program_.embed, DeviceForward::kEmbedOptions);
    float* sums = room_.take<float>(largest_tile(plan_.tiles) * program_.embedding);
    for (int p = 0; p < points_; p++) {
      for (size_t t = 0; t < used.size(); t++) {
        const TablePlan& table = program_.tables[t];
        const size_t elements = stage.elements(table.tensor);
        stage.form(table.tensor, p - 1, 0, elements, formed[t]);
        if (table.factor != 1) ops_.scale(1, elements, table.factor, Matrix{formed[t], elements});
      }
      around.form(p - 1);
      for (size_t i = 0; i < views_.size(); i++) {
        context_.check();
        std::vector<const uint32_t*> here;
        for (const uint32_t* all : index) here.push_back(all + starts_[i]);
        float* x = activations(p, i);
        float* to = around.flow.output == 0 ? x : sums;
        ops_.embed(views_[i].tokens, program_.embedding, used.size(), formed.data(), here.data(), to,
                   program_.embedding);
        around.run(views_[i], to, x);
      }
    }
  }

  // A block outside of the layers: its tensors, its flow, and room for both.
  struct Around {
    Run& run_;
    const Block& block;
    Flow flow;
    DeviceStage stage;
    BlockPoint weights;
    float *turned, *slots, *rest;
    Around(Run& run, const Block& b, FlowOptions options)
        : run_(run), block(b), flow(make_flow(b, options)), stage(run.backend_, run.path_) {
      const LayerSizes sizes = sizes_of(run.path_, block.weights);
      for (const std::string& name : block.weights.names()) stage.add(name);
      stage.send(run.room_.take<char>(stage.size()));
      turned = run.room_.take<float>(sizes.turned / sizeof(float));
      weights = run.allocate(block.weights);
      const size_t tokens = largest_tile(run.plan_.tiles);
      slots = run.room_.take<float>(flow.slot_floats(run.ops_, tokens) + flow.rest_floats(run.ops_, 1, false));
      rest = slots + flow.slot_floats(run.ops_, tokens);
    }
    void form(int k) { run_.form(stage, block.weights, k, weights, turned); }
    void run(const TileView& view, float* x, float* out) {
      run_flow({run_.ops_, flow, weights, run_.ropes_, view, x, out, slots, rest});
    }
  };

  void layers() {
    char* stages[] = {room_.take<char>(sizes_.stage), room_.take<char>(sizes_.stage)};
    float* turned = room_.take<float>(sizes_.turned / sizeof(float));
    const size_t before = room_.used(), count = program_.layers.size();
    for (int i : {0, 1}) backend_.mark(kLayerDone + i, cuda::Queue::kCompute);  // the embedding, whose room this was
    const auto fetch = [&](size_t layer) {
      return std::async(std::launch::async, [this, layer, memory = stages[layer % 2]] { return load(layer, memory); });
    };
    std::future<DeviceStage> next = fetch(0);
    for (size_t layer = 0; layer < count; layer++) {
      const DeviceStage stage = next.get();
      backend_.hold(int(kCopied + layer % 2), cuda::Queue::kCompute);
      if (layer + 1 < count) next = fetch(layer + 1);
      const BlockWeights& tensors = program_.layers[layer].weights;
      const Flow flow = make_flow(program_.layers[layer], owner_.layer_options(layer));
      room_.back_to(before);
      const BlockPoint weights = allocate(tensors);
      const size_t slots = flow.slot_floats(ops_, largest_tile(plan_.tiles));
      float* scratch = room_.take<float>(slots + flow.rest_floats(ops_, longest_text(texts_), false));
      for (int p = 0; p < points_; p++) {
        form(stage, tensors, p - 1, weights, turned);
        for (size_t i = 0; i < views_.size(); i++) {
          before_tile();
          run_flow({ops_, flow, weights, ropes_, views_[i], activations(p, i), nullptr, scratch, scratch + slots});
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
    for (const std::string& name : program_.layers[layer].weights.names()) {
      context_.check();
      stage.add(name);
    }
    if (layer > 0) backend_.wait(int(kCopied + (layer + 1) % 2));  // the staging memory is free again
    backend_.hold(int(kLayerDone + layer % 2), cuda::Queue::kCopy);
    stage.send(backend_.host_memory(), memory);
    backend_.mark(int(kCopied + layer % 2), cuda::Queue::kCopy);
    return stage;
  }

  BlockPoint allocate(const BlockWeights& tensors) {
    BlockPoint point;
    for (const LinearPlan& linear : tensors.linears) {
      point.packed.push_back(room_.take<float>(linear.outputs() * linear.inputs));
      point.bias.push_back(linear.parts[0].bias.empty() ? nullptr : room_.take<float>(linear.outputs()));
    }
    for (const VectorPlan& vector : tensors.vectors) point.vectors.push_back(room_.take<float>(vector.size));
    return point;
  }

  void form(const DeviceStage& stage, const BlockWeights& tensors, int k, const BlockPoint& point, float* turned) {
    std::string in_turned;  // the tensor that lies there now: GPT-2 takes two linear layers from one
    for (size_t i = 0; i < tensors.linears.size(); i++) {
      const LinearPlan& linear = tensors.linears[i];
      size_t done = 0;  // outputs
      for (const LinearPlan::Part& part : linear.parts) {
        float* packed = point.packed[i] + done * linear.inputs;
        if (!linear.turned) {
          stage.form(part.weight, k, part.first * linear.inputs, part.rows * linear.inputs, packed);
        } else {
          if (in_turned != part.weight) stage.form(part.weight, k, 0, stage.elements(part.weight), turned);
          in_turned = part.weight;
          backend_.transpose(linear.inputs, part.rows, turned + part.first, linear.stored_outputs, packed,
                             linear.inputs);
        }
        if (point.bias[i]) stage.form(part.bias, k, part.first, part.rows, point.bias[i] + done);
        done += part.rows;
      }
    }
    for (size_t i = 0; i < tensors.vectors.size(); i++)
      stage.form(tensors.vectors[i].name, k, 0, tensors.vectors[i].size, point.vectors[i]);
  }

  // The selected rows, which the last layer left at the front of each tile, become the head inputs.
  void finish() {
    Around around(*this, program_.before_head, DeviceForward::kHeadOptions);
    for (int p = 0; p < points_; p++) {
      context_.check();
      around.form(p - 1);
      for (size_t i = 0; i < views_.size(); i++) {
        TileView rows = views_[i];
        rows.tokens = rows.texts;  // one row a text
        float* to = features_ + (size_t(p) * texts_.texts() + plan_.tiles[begin_ + i].first_text) * program_.features();
        around.run(rows, activations(p, i), to);
      }
    }
  }

  DeviceForward& owner_;
  const Program& program_;
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
  std::vector<RopeTable> ropes_;
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
  all.take<float>((size_t(path_.points()) + 2) * texts_.texts() * program_.features());
  return all;
}

}  // namespace warp
