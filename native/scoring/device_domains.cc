#include "scoring/device_domains.h"

#include <algorithm>

#include "scoring/device_back.h"

namespace warp {
class DeviceDomains::Work {
 public:
  Work(const DomainJob& job, const DomainSample& sample, size_t most_tokens, Context& context)
      : job_(job), program_(job.program), sample_(sample), context_(context),
        backend_(cuda::Backend::open(job.device.indices.at(0), job.device.precision)),
        pass_{job.program, *backend_, *job.path, job.texts}, longest_(longest_text(job.texts)) {
    const Ops& ops = backend_->ops();
    const size_t layers = program_.layers.size(), most = ops.block_rows();
    if (longest_ > most - most_tokens)
      throw Error(Kind::kResource, "DEVICE_TEXT_LENGTH",
                  "a text of " + std::to_string(longest_) + " tokens; gradients on a GPU take " +
                      std::to_string(most - most_tokens) + " at most",
                  "--max-length " + std::to_string(most - most_tokens) + ", or --device cpu");
    backend_->bind();
    backend_->set_longest(longest_);
    for (size_t i = 0; i <= layers; i++) {
      const Block& block = i < layers ? program_.layers[i] : program_.language ? program_.before_head : program_.head;
      graphs_.push_back(std::make_unique<BackwardBlock>(block, !program_.every_row() && i + 1 == layers, ops,
                                                        backend_->gradient_ops()));
    }
    for (const TablePlan& table : program_.tables)
      if (needs_values(*job.path, table.tensor)) job.path->constants(table.tensor);
    const size_t tokens = std::min(job.texts.ids.size(), most_tokens + longest_),
                 texts = std::min(tokens, job.texts.texts());
    bytes_ = plan(tokens, texts);
    const uint64_t available = backend_->available(),
                   budget = job.device.memory ? std::min<uint64_t>(job.device.memory, available) : available;
    if (bytes_ > budget)
      throw Error(Kind::kResource, "DEVICE_MEMORY_BUDGET",
                  "gradients of domains need " + std::to_string(bytes_) + " bytes of device memory; there are " +
                      std::to_string(budget),
                  "--device-memory " + std::to_string((bytes_ >> 20) + 1) +
                      "MiB where the device has it; else --device cpu");
  }
  uint64_t bytes() const { return bytes_; }

  void begin() {
    backend_->reserve(bytes_, 0);
    room_ = DeviceRoom(backend_->memory(), bytes_);
    keep(room_);
    fill_kept();
  }

  double add(uint32_t block, const uint32_t* chosen, size_t count) {
    const PackedTexts texts = subset(chosen, count);
    const std::vector<Tile> tiles = cut_tiles(program_, texts, SIZE_MAX);
    const Tile& tile = tiles.at(0);
    const size_t before = room_.used(), tokens = tile.tokens();
    const BatchRoom batch(room_, program_, tokens, count);
    const TileView view = send(tile, batch);
    const size_t mark = room_.used();
    embed(texts, tiles, view, batch);
    for (size_t i = 0; i < program_.layers.size(); i++) {
      room_.back_to(mark);
      BackRoom back(room_, pass_, *graphs_[i], {tokens, count}, longest_);
      float* y = i + 1 < program_.layers.size() ? batch.inputs[i + 1] : batch.y;
      forward(i, back, view, batch.inputs[i], y, false);
    }
    room_.back_to(mark);
    gradient_ = kept_.gradient + block * sample_.size;
    square_ = kept_.square + block / job_.blocks * sample_.size;
    float *dy = batch.dy, *dx = batch.dx;
    const double loss = head(texts, chosen, view, batch);
    for (size_t i = program_.layers.size(); i-- > sample_.lowest;) {
      room_.back_to(mark);
      BackRoom back(room_, pass_, *graphs_[i], {tokens, count}, longest_);
      forward(i, back, view, batch.inputs[i], batch.y, true);
      backward(i, back, view, batch.inputs[i], dy, i == sample_.lowest ? nullptr : dx);
      const bool selected = graphs_[i]->flow().slots[graphs_[i]->flow().output].selected;
      take(i, back, batch.inputs[i], dy, {tokens, count}, {view.offsets, selected ? batch.each : view.offsets});
      std::swap(dy, dx);
    }
    room_.back_to(before);
    return loss;
  }

  void download(float* gradient, float* square) const {
    const auto get = [&](float* to, const float* from, size_t count) {
      backend_->download(to, from, count * sizeof(float), cuda::Queue::kCompute);
    };
    get(gradient, kept_.gradient, job_.domains * job_.blocks * sample_.size);
    get(square, kept_.square, job_.domains * sample_.size);
  }

 private:
  // What stays through all batches.
  struct Kept {
    float *gradient, *square;
    std::vector<std::vector<uint32_t*>> outputs;  // by block and linear layer: those that are looked at
    std::vector<RopeTable> ropes;
    std::unique_ptr<OutputRoom> output;
  };

  void keep(DeviceRoom& room) {
    kept_ = {};
    kept_.gradient = room.take<float>(job_.domains * job_.blocks * sample_.size);
    kept_.square = room.take<float>(job_.domains * sample_.size);
    for (const Sampled& sampled : sample_.sampled) {
      kept_.outputs.emplace_back();
      for (const Sampled::Linear& linear : sampled.linears)
        kept_.outputs.back().push_back(room.take<uint32_t>(linear.outputs.size()));
    }
    for (const RopePlan& rope : program_.ropes) {
      float* cos = room.take<float>(longest_ * rope.rotary);
      kept_.ropes.push_back({cos, cos + longest_ * (rope.rotary / 2)});
    }
    if (program_.language) kept_.output = std::make_unique<OutputRoom>(room, pass_);
  }

  void fill_kept() {
    backend_->clear(kept_.gradient, job_.domains * job_.blocks * sample_.size * sizeof(float));
    backend_->clear(kept_.square, job_.domains * sample_.size * sizeof(float));
    for (size_t b = 0; b < sample_.sampled.size(); b++)
      for (size_t i = 0; i < kept_.outputs[b].size(); i++)
        upload(kept_.outputs[b][i], sample_.sampled[b].linears[i].outputs);
    for (size_t i = 0; i < program_.ropes.size(); i++) {
      const Buffer<float> values = rope_values(program_.ropes[i], longest_);
      backend_->upload(const_cast<float*>(kept_.ropes[i].cos), values.data(), values.size() * sizeof(float),
                       cuda::Queue::kCompute);
    }
    if (!kept_.output) return;
    const HeadPlan& plan = program_.head_plan;
    const OutputRoom& out = *kept_.output;
    const size_t before = room_.used(), w = program_.features(), v = program_.outputs;
    DeviceStage stage(*backend_, *job_.path);
    for (const std::string& name : {plan.weight, plan.bias})
      if (!name.empty()) stage.add(name);
    stage.send(room_.take<char>(output_stage()));
    stage.form(plan.weight, job_.point, 0, v * w, out.weight);
    if (out.bias) stage.form(plan.bias, job_.point, 0, v, out.bias);
    backend_->transpose(v, w, out.weight, w, out.turned, v);
    room_.back_to(before);
  }
  size_t output_stage() const {
    const HeadPlan& plan = program_.head_plan;
    return stage_bytes(*job_.path, plan.bias.empty() ? std::vector<std::string>{plan.weight}
                                                     : std::vector<std::string>{plan.weight, plan.bias});
  }

  uint64_t plan(size_t tokens, size_t texts) {
    DeviceRoom room;
    keep(room);
    const size_t kept = room.used(), layers = program_.layers.size();
    if (program_.language) room.take<char>(output_stage());
    room.back_to(kept);
    BatchRoom(room, program_, tokens, texts);
    const size_t mark = room.used();
    EmbedRoom(room, pass_, tokens);
    for (size_t i = 0; i < layers; i++) {
      room.back_to(mark);
      BackRoom(room, pass_, *graphs_[i], {tokens, texts}, longest_);
    }
    room.back_to(mark);
    HeadRoom(room, pass_, *graphs_[layers], program_.language ? tokens : texts, texts);
    return room.most();
  }

  template <class T>
  void upload(T* to, const std::vector<T>& values) {
    backend_->upload(to, values.data(), values.size() * sizeof(T), cuda::Queue::kCompute);
  }

  PackedTexts subset(const uint32_t* chosen, size_t count) const {
    PackedTexts texts;
    texts.offsets.push_back(0);
    const auto append = [](auto& to, const auto& from, uint32_t begin, uint32_t end) {
      if (!from.empty()) to.insert(to.end(), from.begin() + begin, from.begin() + end);
    };
    for (size_t i = 0; i < count; i++) {
      const uint32_t begin = job_.texts.offsets[chosen[i]], end = job_.texts.offsets[chosen[i] + 1];
      append(texts.ids, job_.texts.ids, begin, end);
      append(texts.types, job_.texts.types, begin, end);
      append(texts.targets, job_.texts.targets, begin, end);
      texts.offsets.push_back(uint32_t(texts.ids.size()));
    }
    return texts;
  }

  TileView send(const Tile& tile, const BatchRoom& to) {
    upload(to.offsets, tile.offsets);
    upload(to.selected, tile.selected);
    upload(to.rows, tile.rows);
    upload(to.positions, tile.positions);
    std::vector<uint32_t> each(tile.texts + 1);
    for (uint32_t i = 0; i < each.size(); i++) each[i] = i;
    upload(to.each, each);
    return {tile.texts, tile.tokens(), to.offsets, to.selected, to.rows, to.positions};
  }

  void embed(const PackedTexts& texts, const std::vector<Tile>& tiles, const TileView& view, const BatchRoom& batch) {
    EmbedRoom at(room_, pass_, view.tokens);
    const std::vector<TableRows> used = table_rows(program_, texts, tiles.data(), tiles.data() + 1);
    DeviceStage stage(*backend_, *job_.path);
    for (size_t t = 0; t < used.size(); t++) {
      upload(at.rows[t], used[t].rows);
      upload(at.index[t], used[t].index);
      stage.add_rows(program_.tables[t].tensor, used[t].rows, at.rows[t]);
    }
    stage.send(at.stage);
    const Ops& ops = backend_->ops();
    for (size_t t = 0; t < used.size(); t++) {
      const TablePlan& table = program_.tables[t];
      const size_t elements = stage.elements(table.tensor);
      stage.form(table.tensor, job_.point, 0, elements, at.formed[t]);
      if (table.factor != 1) ops.scale(1, elements, table.factor, Matrix{at.formed[t], elements});
    }
    const DeviceStage own = staged(pass_, program_.embed.weights, at.own);
    at.block.weights.form(own, job_.point, false);
    float* to = at.block.empty() ? batch.inputs[0] : at.sums;
    ops.embed(view.tokens, program_.embedding, used.size(), at.formed.data(), at.index.data(), to, program_.embedding);
    at.block.run(view, kept_.ropes, {to, batch.inputs[0]});
  }

  BackwardBlock::Pass pass(const BackRoom& back, const TileView& view, float* x,
                           const std::vector<Dropout>& none) const {
    return {view,
            {backend_->gradient_ops(), 0, 0, nullptr, nullptr, zero_.data(), zero_.data(), none, back.saved.rows},
            kept_.ropes,
            back.weights.point(),
            x,
            back.scratch};
  }

  // With `turn` the weights are made ready for going back too.
  void forward(size_t number, BackRoom& back, const TileView& view, float* x, float* y, bool turn) {
    context_.check();
    const BackwardBlock& graph = *graphs_[number];
    const DeviceStage stage = staged(pass_, graph.block().weights, back.stage);
    back.weights.form(stage, job_.point, false);
    if (turn) back.turn(*backend_, graph.block().weights);
    const std::vector<Dropout> none(graph.flow().actions.size());
    graph.forward(pass(back, view, x, none), y);
  }

  void backward(size_t number, BackRoom& back, const TileView& view, float* x, const float* dy, float* dx) {
    const BackwardBlock& graph = *graphs_[number];
    backend_->set_gradient_room(back.stats);
    backend_->clear(back.sums, graph.sums() * sizeof(double));
    const std::vector<Dropout> none(graph.flow().actions.size());
    graph.backward(pass(back, view, x, none), back.turned, back.saved, back.shared, dy, dx, back.sums);
  }

  // Where the rows of each text begin, in factors of a row per token and of a row per text.
  struct Firsts {
    const uint32_t *of_tokens, *of_texts;
  };

  // The sampled coordinates of a block's gradients.
  void take(size_t number, const BackRoom& back, const float* x, const float* dy, BackwardBlock::Extent extent,
            Firsts firsts, size_t texts = 0) {
    const BackwardBlock& graph = *graphs_[number];
    const Sampled& sampled = sample_.sampled[number];
    const BlockWeights& weights = graph.block().weights;
    size_t at = 0;
    for (size_t v = 0; v < weights.vectors.size(); at += weights.vectors[v++].size)
      if (sampled.vectors[v].first)
        backend_->add_rounded(weights.vectors[v].size, back.sums + at, gradient_ + sampled.vectors[v].second);
    for (size_t i = 0; i < weights.linears.size(); i++) {
      const Sampled::Linear& s = sampled.linears[i];
      if (s.outputs.empty() && s.biases.empty()) continue;
      const Factor f = graph.factor(i, x, back.saved, back.shared, dy, extent);
      const bool by_text = f.rows == extent.texts && extent.tokens != extent.texts;
      if (!s.outputs.empty())
        backend_->add_outer({texts ? texts : extent.texts, by_text ? firsts.of_texts : firsts.of_tokens,
                             s.outputs.size(), kept_.outputs[number][i], weights.linears[i].inputs, f.dy, f.lddy, f.x,
                             f.ldx, gradient_ + s.at, square_ + s.at});
      for (size_t n = 0; n < s.biases.size(); n++)
        backend_->add_columns(f.rows, s.biases[n].second, f.dy + s.biases[n].first, f.lddy, gradient_ + s.bias_at[n]);
    }
  }

  static TileView alone(size_t rows) { return {rows, rows, nullptr, nullptr, nullptr, nullptr}; }

  // The head, there and back; leaves the gradient of the last layer's output in batch.dy.
  double head(const PackedTexts& texts, const uint32_t* chosen, const TileView& view, const BatchRoom& batch) {
    return program_.language ? predict(texts, view, batch) : classify(chosen, view, batch);
  }

  double sum(const double* from, size_t count) const {
    std::vector<double> loss(count);
    backend_->download(loss.data(), from, count * sizeof(double), cuda::Queue::kCompute);
    double total = 0;
    for (double l : loss) total += l;
    return total;
  }

  double classify(const uint32_t* chosen, const TileView& view, const BatchRoom& batch) {
    const size_t n = view.texts, h = program_.hidden, classes = program_.outputs, number = program_.layers.size();
    HeadRoom at(room_, pass_, *graphs_[number], n, n);
    const Ops& ops = backend_->ops();
    const bool mean = program_.select == Select::kMean;
    if (mean) backend_->mean_rows(n, view.offsets, h, {batch.y, h}, {at.x, h});
    else ops.gather(n, h, batch.y, h, nullptr, at.x, h);
    forward(number, at.back, alone(n), at.x, at.z, true);
    std::vector<uint32_t> target(n);
    for (size_t i = 0; i < n; i++) target[i] = uint32_t(job_.label[chosen[i]]);
    upload(at.target, target);
    ops.cross_entropy(n, classes, {at.z, classes}, at.target, at.loss, 1, {at.e, classes});
    float* dx = mean ? at.dx : batch.dy;
    backward(number, at.back, alone(n), at.x, at.e, dx);
    take(number, at.back, at.x, at.e, {n, n}, {batch.each, batch.each});
    if (mean) backend_->spread_rows(n, view.offsets, h, at.dx, batch.dy);
    return sum(at.loss, n);
  }

  double predict(const PackedTexts& texts, const TileView& view, const BatchRoom& batch) {
    std::vector<uint32_t> rows, targets, first = {0};
    for (size_t t = 0; t < view.texts; t++) {
      for (uint32_t row = texts.offsets[t]; row < texts.offsets[t + 1]; row++)
        if (texts.targets[row] != kNoTarget) {
          rows.push_back(row);
          targets.push_back(texts.targets[row]);
        }
      first.push_back(uint32_t(rows.size()));
    }
    const size_t n = rows.size(), h = program_.hidden, number = program_.layers.size();
    backend_->clear(batch.dy, view.tokens * h * sizeof(float));
    if (n == 0) return 0;
    HeadRoom at(room_, pass_, *graphs_[number], n, view.texts);
    upload(at.index, rows);
    upload(at.target, targets);
    upload(at.first, first);
    const Ops& ops = backend_->ops();
    ops.gather(n, h, batch.y, h, at.index, at.x, h);
    forward(number, at.back, alone(n), at.x, at.closed, true);
    for (size_t from = 0; from < n; from += at.block) logits(at, from, std::min(at.block, n - from));
    backward(number, at.back, alone(n), at.x, at.dclosed, at.dx);
    take(number, at.back, at.x, at.dclosed, {n, n}, {at.first, at.first}, view.texts);
    ops.scatter_add(n, h, {at.dx, h}, at.index, {batch.dy, h});
    return sum(at.loss, n);
  }

  // Losses and the gradient of the output layer's input, of some rows.
  void logits(const HeadRoom& at, size_t from, size_t count) {
    const size_t w = program_.features(), v = program_.outputs;
    const Ops& ops = backend_->ops();
    const OutputRoom& out = *kept_.output;
    const float cap = program_.logit_cap;
    ops.linear(count, v, w, at.closed + from * w, w, out.weight, out.bias, Activation::kNone, at.z, v, nullptr);
    if (cap > 0) ops.softcap(count, v, cap, {at.z, v}, {at.z, v});
    ops.cross_entropy(count, v, {at.z, v}, at.target + from, at.loss + from, 1, {at.e, v});
    if (cap > 0) ops.softcap_slope(count, v, cap, {at.z, v}, {at.e, v}, {at.e, v});
    ops.linear(count, w, v, at.e, v, out.turned, nullptr, Activation::kNone, at.dclosed + from * w, w, nullptr);
  }

  const DomainJob& job_;
  const Program& program_;
  const DomainSample& sample_;
  Context& context_;
  const std::unique_ptr<cuda::Backend> backend_;
  const DevicePass pass_;
  const size_t longest_;
  std::vector<std::unique_ptr<BackwardBlock>> graphs_;  // of the layers, then the head's
  uint64_t bytes_ = 0;
  DeviceRoom room_;
  Kept kept_;
  const std::vector<uint32_t> zero_ = {0};
  float *gradient_ = nullptr, *square_ = nullptr;  // of the batch's block, of its domain
};

DeviceDomains::DeviceDomains(const DomainJob& job, const DomainSample& sample, size_t most_tokens, Context& context)
    : work_(std::make_unique<Work>(job, sample, most_tokens, context)) {
  work_->begin();
}
uint64_t DeviceDomains::device_bytes(const DomainJob& job, const DomainSample& sample, size_t most_tokens) {
  Context context;
  return Work(job, sample, most_tokens, context).bytes();
}
DeviceDomains::~DeviceDomains() = default;
double DeviceDomains::add(uint32_t block, const uint32_t* chosen, size_t count) {
  return work_->add(block, chosen, count);
}
void DeviceDomains::download(float* gradient, float* square) const { work_->download(gradient, square); }

uint64_t DeviceDomains::host_bytes(const DomainJob& job) {
  uint64_t most = 0;
  for (const Block& layer : job.program.layers)
    most = std::max<uint64_t>(most, stage_bytes(*job.path, layer.weights.names()));
  return std::max<uint64_t>(most, stage_bytes(*job.path, job.program.head.weights.names()));
}

}  // namespace warp
