#include "scoring/reverse.h"

#include <algorithm>

namespace warp {

TrainingTexts reverse_texts(const PackedTexts& texts, const std::vector<int32_t>& label) {
  TrainingTexts all;
  all.ids = texts.ids;
  all.offsets = texts.offsets;
  all.types = texts.types;
  all.label = label;
  all.targets = texts.targets;
  return all;
}

ReversePass::ReversePass(const ReverseJob& job, size_t longest, Threads& threads, Context& context)
    : job_(job), program_(job.program), ops_(cpu_ops()), backward_(cpu_backward_ops()), threads_(threads),
      context_(context), ropes_(job.program, longest) {
  const size_t layers = program_.layers.size();
  for (size_t i = 0; i < layers; i++) {
    const bool selected = !program_.every_row() && i + 1 == layers;
    layers_.push_back(std::make_unique<BackwardBlock>(program_.layers[i], selected, ops_, backward_));
  }
  const Block& head = program_.language ? program_.before_head : program_.head;
  head_ = std::make_unique<BackwardBlock>(head, false, ops_, backward_);
  embed_ = std::make_unique<BackwardBlock>(program_.embed, false, ops_, backward_);
}

double ReversePass::run(const Batch& b, ReverseSink& sink) {
  const size_t h = program_.hidden, tokens = b.tokens(), layers = layers_.size();
  std::vector<Buffer<float>> inputs;
  for (size_t i = 0; i < layers; i++) inputs.emplace_back(tokens * h);
  Buffer<float> features((program_.every_row() ? tokens : b.texts()) * h), dy(tokens * h), dx(tokens * h);
  fit_scratch(b);
  embed(b, inputs[0].data());
  for (size_t i = 0; i < layers; i++) {
    const WeightSource source(job_.path, program_.layers[i].weights);
    BlockPoint point = source.allocate(ops_);
    source.form(ops_, threads_, job_.point, point);
    forward(b, *layers_[i], point, inputs[i].data(), i + 1 == layers ? features.data() : inputs[i + 1].data());
  }
  const double loss = head(b, features, dy, sink);
  for (size_t i = layers; i-- > job_.lowest;) {
    const WeightSource source(job_.path, program_.layers[i].weights);
    BlockPoint point = source.allocate(ops_), turned = source.allocate_turned(ops_);
    source.form(ops_, threads_, job_.point, point);
    source.form_turned(ops_, threads_, job_.point, turned);
    Buffer<float> y(tokens * h);
    forward(b, *layers_[i], point, inputs[i].data(), y.data());
    back(b, i, point, turned, inputs[i].data(), dy.data(), i == job_.lowest && !job_.inputs ? nullptr : dx.data(),
         sink);
    std::swap(dy, dx);
  }
  if (job_.inputs) embed_back(b, dy.data(), sink);
  return loss;
}

void ReversePass::fit_scratch(const Batch& b) {
  size_t widest = 0;
  for (const TrainingTile& tile : b.tiles) widest = std::max(widest, tile.tile.tokens());
  size_t floats = head_->scratch(std::max(b.tokens(), b.texts()), 1);
  if (job_.inputs) floats = std::max(floats, embed_->scratch(widest, b.longest));
  for (const auto& layer : layers_) floats = std::max(floats, layer->scratch(widest, b.longest));
  const Flow embed = make_flow(program_.embed, {false, true, true});
  floats = std::max(floats, embed.slot_floats(ops_, widest) + embed.rest_floats(ops_, b.longest, false));
  scratch_.resize(size_t(threads_.count()));
  for (Growing& scratch : scratch_) scratch.get(floats);
}

// By token, the sum of its rows of all tables.
Buffer<float> ReversePass::table_sums(const Batch& b) {
  const size_t width = program_.embedding;
  std::vector<Buffer<float>> tables;
  std::vector<const float*> data;
  std::vector<std::vector<uint32_t>> index;
  for (size_t t = 0; t < program_.tables.size(); t++) {
    std::vector<uint32_t> used = b.rows[t], at;
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    for (uint32_t row : b.rows[t])
      at.push_back(uint32_t(std::lower_bound(used.begin(), used.end(), row) - used.begin()));
    tables.push_back(whole_point(job_.path.load_rows(program_.tables[t].tensor, used), job_.point));
    for (float& value : tables.back()) value *= program_.tables[t].factor;
    data.push_back(tables.back().data());
    index.push_back(std::move(at));
  }
  Buffer<float> sums(b.tokens() * width);
  threads_.parallel(b.tiles.size(), [&](size_t i, int) {
    const TrainingTile& tile = b.tiles[i];
    std::vector<const uint32_t*> here;
    for (const std::vector<uint32_t>& rows : index) here.push_back(rows.data() + tile.first_token);
    ops_.embed(tile.tile.tokens(), width, data.size(), data.data(), here.data(), sums.data() + tile.first_token * width,
               width);
  });
  return sums;
}

void ReversePass::embed(const Batch& b, float* x) {
  const WeightSource source(job_.path, program_.embed.weights);
  BlockPoint point = source.allocate(ops_);
  source.form(ops_, threads_, job_.point, point);
  const Flow flow = make_flow(program_.embed, {false, true, true});
  Buffer<float> sums = table_sums(b);
  threads_.parallel(b.tiles.size(), [&](size_t i, int worker) {
    const TrainingTile& tile = b.tiles[i];
    float* slots = scratch_[size_t(worker)].data();
    run_flow({ops_, flow, point, ropes_.tables(), tile.tile.view(), sums.data() + tile.first_token * program_.embedding,
              x + tile.first_token * program_.hidden, slots, slots + flow.slot_floats(ops_, tile.tile.tokens())});
  });
}

// dy of the embedding's output to the sums of the tables.
void ReversePass::embed_back(const Batch& b, const float* dy, ReverseSink& sink) {
  const WeightSource source(job_.path, program_.embed.weights);
  BlockPoint point = source.allocate(ops_), turned = source.allocate_turned(ops_);
  source.form(ops_, threads_, job_.point, point);
  source.form_turned(ops_, threads_, job_.point, turned);
  Buffer<float> sums = table_sums(b), y(b.tokens() * program_.hidden), dx(b.tokens() * program_.embedding);
  forward(b, *embed_, point, sums.data(), y.data());
  embed_->fit_shared(shared_, b.tokens(), b.texts());
  const std::vector<Dropout> none(embed_->flow().actions.size());
  std::vector<double> vectors(b.tiles.size() * embed_->sums());
  threads_.parallel(b.tiles.size(), [&](size_t i, int worker) {
    context_.check();
    const TrainingTile& tile = b.tiles[i];
    embed_->backward({tile.tile.view(), view(b, tile, none), ropes_.tables(), point, sums.data(),
                      scratch_[size_t(worker)].data()},
                     turned.packed, saved_, shared_, dy, dx.data(), vectors.data() + i * embed_->sums());
  });
  sink.inputs(dx.data());
}

TrainingView ReversePass::view(const Batch& b, const TrainingTile& tile, const std::vector<Dropout>& none) const {
  return {backward_,          tile.first_token, tile.first_text,        b.token_text.data(),
          b.positions.data(), b.text.data(),    b.text_position.data(), none,
          saved_.rows};
}

void ReversePass::forward(const Batch& b, const BackwardBlock& graph, const BlockPoint& point, float* x, float* y) {
  graph.fit_saved(saved_, b.tokens(), b.texts());
  const std::vector<Dropout> none(graph.flow().actions.size());
  threads_.parallel(b.tiles.size(), [&](size_t i, int worker) {
    context_.check();
    const TrainingTile& tile = b.tiles[i];
    graph.forward({tile.tile.view(), view(b, tile, none), ropes_.tables(), point, x, scratch_[size_t(worker)].data()},
                  y);
  });
}

void ReversePass::back(const Batch& b, size_t number, const BlockPoint& point, const BlockPoint& turned, float* x,
                       const float* dy, float* dx, ReverseSink& sink) {
  const BackwardBlock& graph = *layers_[number];
  const BackwardBlock::Extent extent{b.tokens(), b.texts()};
  graph.fit_shared(shared_, extent.tokens, extent.texts);
  const std::vector<Dropout> none(graph.flow().actions.size());
  std::vector<double> sums(b.tiles.size() * graph.sums());
  threads_.parallel(b.tiles.size(), [&](size_t i, int worker) {
    context_.check();
    const TrainingTile& tile = b.tiles[i];
    graph.backward({tile.tile.view(), view(b, tile, none), ropes_.tables(), point, x, scratch_[size_t(worker)].data()},
                   turned.packed, saved_, shared_, dy, dx, sums.data() + i * graph.sums());
  });
  sink.take({number, graph, x, dy, extent, sums, b.tiles.size(), saved_, shared_, b.token_text}, threads_);
}

// The head's block on rows that stand alone, there and, with dy, back.
void ReversePass::head_rows(size_t rows, float* x, float* y, const float* dy, float* dx,
                            const std::vector<uint32_t>& text, ReverseSink* sink) {
  Batch alone;
  alone.token_text = alone.positions = alone.text = alone.text_position = std::vector<uint32_t>(rows, 0);
  const WeightSource source(job_.path, head_->block().weights);
  BlockPoint point = source.allocate(ops_);
  source.form(ops_, threads_, job_.point, point);
  head_->fit_saved(saved_, rows, rows);
  const std::vector<Dropout> none(head_->flow().actions.size());
  const RowTile one(rows);
  const TrainingTile tile{0, 0, {}};
  const BackwardBlock::Pass pass{one.view(), view(alone, tile, none), ropes_.tables(), point, x, scratch_[0].data()};
  head_->forward(pass, y);
  if (!dy) return;
  BlockPoint turned = source.allocate_turned(ops_);
  source.form_turned(ops_, threads_, job_.point, turned);
  head_->fit_shared(shared_, rows, rows);
  std::vector<double> sums(head_->sums());
  head_->backward(pass, turned.packed, saved_, shared_, dy, dx, sums.data());
  if (job_.head) sink->take({layers_.size(), *head_, x, dy, {rows, rows}, sums, 1, saved_, shared_, text}, threads_);
}

double ReversePass::head(const Batch& b, Buffer<float>& features, Buffer<float>& dy, ReverseSink& sink) {
  std::fill(dy.begin(), dy.end(), 0.0f);
  return program_.language ? predict(b, features, dy, sink) : classify(b, features, dy, sink);
}

double ReversePass::classify(const Batch& b, Buffer<float>& features, Buffer<float>& dy, ReverseSink& sink) {
  const size_t h = program_.hidden;
  const size_t texts = b.texts(), classes = program_.outputs;
  const bool mean = program_.select == Select::kMean;
  Buffer<float> rows(texts * h), drows(texts * h), logits(texts * classes), e(texts * classes);
  const auto length = [&](size_t t, const TrainingTile& tile) {
    return tile.tile.offsets[t + 1] - tile.tile.offsets[t];
  };
  for (const TrainingTile& tile : b.tiles)
    for (size_t t = 0; t < tile.tile.texts; t++) {
      const size_t text = tile.first_text + t, first = tile.first_token + tile.tile.offsets[t];
      if (!mean) {
        std::copy_n(features.data() + text * h, h, rows.data() + text * h);
        continue;
      }
      std::vector<double> sum(h);
      backward_.add_rows(length(t, tile), h, features.data() + first * h, h, sum.data());
      for (size_t j = 0; j < h; j++) rows[text * h + j] = float(sum[j] / double(length(t, tile)));
    }
  head_rows(texts, rows.data(), logits.data(), nullptr, nullptr, b.token_text, nullptr);
  std::vector<double> loss(texts);
  std::vector<uint32_t> target(b.label.begin(), b.label.end());
  ops_.cross_entropy(texts, classes, Matrix{logits.data(), classes}, target.data(), loss.data(), 1.0f,
                     Matrix{e.data(), classes});
  double total = 0;
  for (double l : loss) total += l;
  sink.losses(loss);
  if (!goes_back()) return total;
  std::vector<uint32_t> own(texts);
  for (uint32_t t = 0; t < texts; t++) own[t] = t;
  head_rows(texts, rows.data(), logits.data(), e.data(), drows.data(), own, &sink);
  for (const TrainingTile& tile : b.tiles)
    for (size_t t = 0; t < tile.tile.texts; t++) {
      const size_t text = tile.first_text + t, first = tile.first_token + tile.tile.offsets[t];
      const size_t count = mean ? length(t, tile) : 1;
      for (size_t r = 0; r < count; r++)
        for (size_t j = 0; j < h; j++) dy[((mean ? first : text) + r) * h + j] = drows[text * h + j] / float(count);
    }
  return total;
}

double ReversePass::predict(const Batch& b, Buffer<float>& features, Buffer<float>& dy, ReverseSink& sink) {
  const size_t h = program_.hidden, width = program_.before_head.output_width();
  std::vector<uint32_t> rows, targets, text;
  for (uint32_t row = 0; row < b.tokens(); row++)
    if (b.targets[row] != kNoTarget) {
      rows.push_back(row);
      targets.push_back(b.targets[row]);
      text.push_back(b.token_text[row]);
    }
  const size_t count = rows.size();
  Buffer<float> picked(count * h), closed(count * width), dclosed(count * width), dpicked(count * h);
  ops_.gather(count, h, features.data(), h, rows.data(), picked.data(), h);
  head_rows(count, picked.data(), closed.data(), nullptr, nullptr, text, nullptr);
  if (weight_.size() == 0) {
    weight_ = whole_point(job_.path.load(program_.head_plan.weight), job_.point);
    if (!program_.head_plan.bias.empty()) bias_ = whole_point(job_.path.load(program_.head_plan.bias), job_.point);
    OutputLayer::Tensors tensors;
    tensors.weight = weight_.data();
    tensors.bias = bias_.size() ? bias_.data() : nullptr;
    output_ = std::make_unique<OutputLayer>(program_, tensors, ops_, backward_);
    output_->pack(threads_);
  }
  const auto watch = [&](size_t first, size_t some, const float* e, const double* loss) {
    sink.outputs({some, closed.data() + first * width, e, loss, text.data() + first}, threads_);
  };
  const double loss =
      output_->run(count, closed.data(), targets.data(), 1.0, threads_, goes_back() ? dclosed.data() : nullptr, watch);
  if (!goes_back()) return loss;
  head_rows(count, picked.data(), closed.data(), dclosed.data(), dpicked.data(), text, &sink);
  ops_.scatter_add(count, h, Matrix{dpicked.data(), h}, rows.data(), Matrix{dy.data(), h});
  return loss;
}

uint64_t ReversePass::planned_bytes(const Program& p, const Path& path, size_t tokens, int threads) {
  uint64_t layer = 0, widest = 0;
  for (const Block& block : p.layers) {
    layer = std::max(layer, WeightSource::stored_bytes(path, block.weights) +
                                2 * WeightSource::point_bytes(cpu_ops(), block.weights));
    uint64_t width = 0;
    for (uint32_t w : block.widths) width += w;
    widest = std::max(widest, width);
  }
  const uint64_t rows = tokens * (p.hidden * (p.layers.size() + 5) + 2 * widest) * sizeof(float);
  const uint64_t output =
      p.language ? (2 * p.outputs * p.features() + 384 * p.outputs + uint64_t(threads) * 96 * 1024) * 4 : 0;
  return rows + layer + output;
}

}  // namespace warp
