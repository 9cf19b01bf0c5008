#include "scoring/device.h"

#include <algorithm>
#include <future>

namespace warp {
namespace {

constexpr size_t kAhead = 2;  // tiles queued while one computes

// Marks of the backend, by what they follow; two of each, in turn.
enum { kTileDone = 0, kLayerDone = 2, kCopied = 4 };

}  // namespace

class DeviceForward::Run {
 public:
  Run(DeviceForward& owner, Context& context)
      : owner_(owner), pass_(owner.pass_), program_(pass_.program), backend_(pass_.backend), path_(pass_.path),
        texts_(pass_.texts), plan_(owner.plan_), context_(context), ops_(backend_.ops()), hidden_(program_.hidden),
        points_(pass_.passes()), largest_(largest_tile(plan_.tiles)),
        total_(double(plan_.forward.tokens) * double(program_.layers.size()) * double(points_)),
        room_(backend_.memory(), plan_.forward.peak_bytes) {
    owner.features_ = room_.take<float>(owner.feature_count());
    const size_t longest = longest_text(texts_);
    for (const RopePlan& rope : program_.ropes) {
      const Buffer<float> values = rope_values(rope, longest);
      float* there = room_.take<float>(values.size());
      backend_.upload(there, values.data(), values.size() * sizeof(float), cuda::Queue::kCompute);
      ropes_.push_back({there, there + values.size() / 2});
    }
    DeviceResults& out = owner.results_ = {};
    const size_t texts = texts_.texts(), points = size_t(path_.points());
    if (program_.language) {
      out.loss.assign(texts * (points + 2), 0.0);
      out.token_loss.assign(texts_.ids.size() * 2, 0.0);
    }
    if (!pass_.names) return;
    out.slope.assign(texts * points, 0.0);
    out.norm2.assign(points, 0.0);
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
  // Of the tables only some rows are used; what the path must know of a whole one is found before, and its norm.
  void learn_tables() {
    const size_t before = room_.used();
    for (const TablePlan& table : program_.tables) {
      const std::string& name = table.tensor;
      const bool measured = owner_.apart_norm(table);
      if (!needs_values(path_, name) && !measured) continue;
      context_.check();
      DeviceStage whole(backend_, path_);
      whole.add(name);
      whole.send(room_.take<char>(whole.size()));
      if (measured) add_norm(whole, name);
      room_.back_to(before);
    }
  }

  // ‖θ* − θ_k‖² of a whole table, step by step.
  void add_norm(const DeviceStage& whole, const std::string& name) {
    const size_t elements = whole.elements(name);
    const TableNorm at(room_, elements);
    for (int k = 0; k < path_.points(); k++)
      for (size_t from = 0; from < elements; from += TableNorm::kStep) {
        context_.check();
        const size_t count = std::min(TableNorm::kStep, elements - from);
        whole.form(name, k, from, count, at.here);
        whole.form(name, path_.points(), from, count, at.end);
        backend_.subtract(count, at.here, at.end);
        const cuda::Stored v{at.end, Dtype::kF32};
        backend_.statistics(v, v, nullptr, count, at.sums, at.workspace, cuda::Queue::kCompute);
        cuda::PairStatistics found;
        backend_.download(&found, at.sums, sizeof found, cuda::Queue::kCompute);
        owner_.results_.norm2[size_t(k)] += found.base2;
      }
  }

  void chunk(size_t begin, size_t end) {
    begin_ = begin;
    starts_.assign(1, 0);
    for (size_t i = begin; i < end; i++) starts_.push_back(starts_.back() + plan_.tiles[i].tokens());
    const size_t row = starts_.back() * hidden_;
    float* x = room_.take<float>(size_t(points_) * row);
    float* dx = pass_.names ? room_.take<float>(size_t(path_.points()) * row) : nullptr;
    upload_tiles(end);
    DeviceChunk chunk{plan_.tiles, begin, end, views_, starts_, x, dx, hidden_, false, begin == 0};
    const size_t shared = room_.used();  // what follows is for the embedding, then for the layers
    embed(chunk);
    room_.back_to(shared);
    layers(chunk);
    room_.back_to(shared);
    if (program_.language) finish_language(pass_, chunk, room_, owner_.results_, context_);
    else finish_classify(pass_, chunk, room_, owner_.features_, owner_.results_, context_);
  }

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

  // The rows of the tables that a chunk uses: at a point, and where they move θ* − θ_k of them.
  struct Tables {
    std::vector<const uint32_t*> index;
    std::vector<float*> point, change;
    bool moving = false;
  };

  void form_rows(const DeviceStage& stage, int k, std::vector<float*>& to) {
    for (size_t t = 0; t < to.size(); t++) {
      const TablePlan& table = program_.tables[t];
      const size_t elements = stage.elements(table.tensor);
      stage.form(table.tensor, k, 0, elements, to[t]);
      if (table.factor != 1) ops_.scale(1, elements, table.factor, Matrix{to[t], elements});
    }
  }

  void form_changes(const DeviceStage& stage, Tables& tables) {
    form_rows(stage, path_.points(), tables.change);
    for (size_t t = 0; t < tables.change.size(); t++) {
      const std::string& name = program_.tables[t].tensor;
      const size_t elements = stage.elements(name);
      if (pass_.names->count(name)) backend_.subtract(elements, tables.point[t], tables.change[t]);
      else backend_.clear(tables.change[t], elements * sizeof(float));
    }
  }

  // Embedding rows of the chunk's own tokens only; then the embedding's steps.
  void embed(DeviceChunk& chunk) {
    const std::vector<TableRows> used =
        table_rows(program_, texts_, &plan_.tiles[chunk.begin], plan_.tiles.data() + chunk.end);
    Tables tables;
    DeviceStage stage(backend_, path_);
    for (size_t t = 0; t < used.size(); t++) {
      const std::string& name = program_.tables[t].tensor;
      tables.index.push_back(uploaded(used[t].index));
      stage.add_rows(name, used[t].rows, uploaded(used[t].rows));
      tables.moving = tables.moving || (pass_.names && pass_.names->count(name) != 0);
    }
    stage.send(room_.take<char>(stage.size()));
    for (const TablePlan& table : program_.tables) {
      tables.point.push_back(room_.take<float>(stage.elements(table.tensor)));
      if (tables.moving) tables.change.push_back(room_.take<float>(stage.elements(table.tensor)));
    }
    char* stored = room_.take<char>(stage_bytes(path_, program_.embed.weights.names()));
    DeviceBlock block(room_, pass_, program_.embed, kEmbedOptions, largest_, pass_.names);
    const DeviceStage own = staged(pass_, program_.embed.weights, stored);
    float* sums = room_.take<float>(largest_ * program_.embedding);
    float* changes = tables.moving ? room_.take<float>(largest_ * program_.embedding) : nullptr;
    chunk.moving = tables.moving || block.weights.moves();
    for (int p = 0; p < points_; p++) {
      const bool derive = chunk.moving && pass_.on_path(p);
      form_rows(stage, p - 1, tables.point);
      if (derive && tables.moving) form_changes(stage, tables);
      block.weights.form(own, p - 1, chunk.first);
      for (size_t i = 0; i < views_.size(); i++) {
        context_.check();
        DeviceRows rows{block.empty() ? chunk.values(p, i) : sums, chunk.values(p, i)};
        sum_tables(tables, tables.point, i, rows.x);
        if (!derive) {
          block.run(views_[i], ropes_, rows);
          continue;
        }
        rows.dout = chunk.tangents(p, i);
        rows.dx = block.empty() ? rows.dout : changes;
        rows.moving = tables.moving;
        if (tables.moving) sum_tables(tables, tables.change, i, rows.dx);
        block.derive(views_[i], ropes_, rows);
      }
    }
    if (chunk.first && pass_.names) block.weights.add_norms(owner_.results_.norm2);
  }

  void sum_tables(const Tables& tables, const std::vector<float*>& rows, size_t tile, float* to) {
    std::vector<const uint32_t*> here;
    for (const uint32_t* all : tables.index) here.push_back(all + starts_[tile]);
    ops_.embed(views_[tile].tokens, program_.embedding, rows.size(), rows.data(), here.data(), to, program_.embedding);
  }

  void layers(DeviceChunk& chunk) {
    const size_t most = owner_.layer_stage();
    char* stages[] = {room_.take<char>(most), room_.take<char>(most)};
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
      room_.back_to(before);
      DeviceBlock block(room_, pass_, program_.layers[layer], owner_.layer_options(layer), largest_, pass_.names);
      run_layer(chunk, block, stage);
      backend_.mark(int(kLayerDone + layer % 2), cuda::Queue::kCompute);
      if (chunk.first && pass_.names) block.weights.add_norms(owner_.results_.norm2);
    }
    while (passed_ < queued_) pass();
  }

  void run_layer(DeviceChunk& chunk, DeviceBlock& block, const DeviceStage& stage) {
    const bool moves = chunk.moving || block.weights.moves();
    for (int p = 0; p < points_; p++) {
      block.weights.form(stage, p - 1, chunk.first);
      for (size_t i = 0; i < views_.size(); i++) {
        before_tile();
        DeviceRows rows{chunk.values(p, i), nullptr};
        if (moves && pass_.on_path(p)) {
          rows.dx = chunk.tangents(p, i);
          rows.moving = chunk.moving;
          block.derive(views_[i], ropes_, rows);
        } else {
          block.run(views_[i], ropes_, rows);
        }
        after_tile(views_[i].tokens);
      }
    }
    chunk.moving = moves;
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

  DeviceForward& owner_;
  const DevicePass& pass_;
  const Program& program_;
  cuda::Backend& backend_;
  const Path& path_;
  const PackedTexts& texts_;
  const DevicePlan& plan_;
  Context& context_;
  const Ops& ops_;
  const size_t hidden_;
  const int points_;
  const size_t largest_;
  const double total_;
  DeviceRoom room_;
  size_t begin_ = 0, queued_ = 0, passed_ = 0;  // the latter two: tiles
  double tokens_[kAhead] = {}, done_ = 0;
  std::vector<size_t> starts_;
  std::vector<TileView> views_;
  std::vector<RopeTable> ropes_;
};

void DeviceForward::run(Context& context) {
  cuda::Backend& backend = pass_.backend;
  backend.bind();
  for (;;) {
    try {
      backend.reserve(plan_.forward.peak_bytes, plan_.staging_bytes);
      break;
    } catch (const Error& error) {
      // another program took some since the plan was made, or what is free lies in pieces: smaller chunks then
      if (error.code != "CUDA_OUT_OF_MEMORY" || plan_.forward.peak_bytes <= plan_.forward.smallest_bytes) throw;
      make_plan(std::max(plan_.forward.smallest_bytes, plan_.forward.peak_bytes / 4 * 3));
    }
  }
  Run(*this, context).run();
  backend.mark(kTileDone, cuda::Queue::kCompute);
  backend.wait(kTileDone);
}

DeviceRoom DeviceForward::room() const {
  DeviceRoom all(pass_.backend.memory(), plan_.forward.peak_bytes);
  all.take<float>(feature_count());
  return all;
}

}  // namespace warp
