#include "training/network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/random.h"

namespace warp {
namespace {

// logits → e = (softmax − onehot) · weight, in place; returns Σ −log p(label).
double cross_entropy(size_t texts, size_t labels, const int32_t* label, double weight, float* logits) {
  double loss = 0;
  std::vector<double> p(labels);
  for (size_t t = 0; t < texts; t++, logits += labels) {
    const double top = *std::max_element(logits, logits + labels);
    double total = 0;
    for (size_t j = 0; j < labels; j++) total += p[j] = std::exp(double(logits[j]) - top);
    loss += top + std::log(total) - double(logits[label[t]]);
    for (size_t j = 0; j < labels; j++) logits[j] = float((p[j] / total - (int32_t(j) == label[t])) * weight);
  }
  return loss;
}

}  // namespace

Network::Network(const Program& program, Parameters& parameters, const DropoutRates& rates, uint64_t seed)
    : program_(program), parameters_(parameters), rates_(rates), seed_(seed), ops_(cpu_ops()),
      backward_(cpu_backward_ops()), embed_(program.embed, false, parameters, ops_, backward_),
      head_(program.language ? program.before_head : program.head, false, parameters, ops_, backward_),
      saved_(program.layers.size()), inputs_(program.layers.size()) {
  if (program.language) output_ = std::make_unique<OutputLayer>(program, output_tensors(), ops_, backward_);
  const size_t layers = program.layers.size();
  lowest_ = int(layers);
  for (size_t i = 0; i < layers; i++) {
    const bool selected = !program.every_row() && i + 1 == layers;
    layers_.push_back(std::make_unique<TrainedBlock>(program.layers[i], selected, parameters, ops_, backward_));
    if (layers_.back()->trainable()) lowest_ = std::min(lowest_, int(i));
  }
  if (embed_.trainable()) lowest_ = -1;
  for (const TablePlan& table : program.tables)
    if (parameters.trainable(table.tensor)) lowest_ = -1;
}

// By action of a flow. Keys do not depend on the order of steps.
std::vector<Dropout> Network::dropout(const Flow& flow, uint32_t step) const {
  std::vector<Dropout> all(flow.actions.size());
  for (size_t i = 0; i < all.size(); i++) {
    const Step& s = flow.actions[i].step;
    if (s.site.empty() || flow.actions[i].gather) continue;
    const double rates[] = {rates_.embedding, rates_.attention, rates_.hidden, rates_.head};
    const uint64_t key = fnv1a("dropout " + s.site) ^ seed_;
    all[i] = {{uint32_t(key), uint32_t(key >> 32)}, step, uint32_t(std::lround(rates[int(s.rate)] * 65536))};
  }
  return all;
}

void Network::forward(const Run& run, TrainedBlock& block, float* x, float* y, BlockMemory& saved) {
  const Batch& b = run.batch;
  block.graph().fit_saved(saved, b.tokens(), b.texts());
  block.pack(run.threads, false);
  const std::vector<Dropout> drops = dropout(block.graph().flow(), run.step);
  run.threads.parallel(b.tiles.size(), [&](size_t i, int worker) {
    run.context.check();
    const TrainingTile& tile = b.tiles[i];
    const TrainingView view{backward_,          tile.first_token, tile.first_text,        b.token_text.data(),
                            b.positions.data(), b.text.data(),    b.text_position.data(), drops,
                            saved.rows};
    block.graph().forward({tile.tile.view(), view, run.ropes, block.point(), x, scratch_[size_t(worker)].data()}, y);
  });
}

void Network::backward(const Run& run, TrainedBlock& block, float* x, const float* dy, float* dx, BlockMemory& saved) {
  const Batch& b = run.batch;
  const size_t tiles = b.tiles.size(), width = block.graph().sums();
  block.graph().fit_shared(shared_, b.tokens(), b.texts());
  block.pack(run.threads, true);
  const std::vector<Dropout> drops = dropout(block.graph().flow(), run.step);
  std::vector<double> sums(tiles * width);
  run.threads.parallel(tiles, [&](size_t i, int worker) {
    run.context.check();
    const TrainingTile& tile = b.tiles[i];
    const TrainingView view{backward_,          tile.first_token, tile.first_text,        b.token_text.data(),
                            b.positions.data(), b.text.data(),    b.text_position.data(), drops,
                            saved.rows};
    block.graph().backward({tile.tile.view(), view, run.ropes, block.point(), x, scratch_[size_t(worker)].data()},
                           block.packed(), saved, shared_, dy, dx, sums.data() + i * width);
  });
  for (size_t i = 1; i < tiles; i++)
    for (size_t j = 0; j < width; j++) sums[j] += sums[i * width + j];
  block.vector_gradients(sums.data());
  block.weight_gradients(x, saved, shared_, dy, {b.tokens(), b.texts()}, run.threads);
}

void Network::embed(const Run& run, float* x) {
  const Batch& b = run.batch;
  const size_t width = program_.embedding, tokens = b.tokens();
  float* sums = sums_.get(tokens * width);
  std::vector<const float*> tables;
  for (const TablePlan& table : program_.tables) tables.push_back(parameters_.value(table.tensor));
  run.threads.parallel(b.tiles.size(), [&](size_t i, int) {
    const size_t row = b.tiles[i].first_token, count = b.tiles[i].tile.tokens();
    std::vector<const uint32_t*> index;
    for (const std::vector<uint32_t>& rows : b.rows) index.push_back(rows.data() + row);
    ops_.embed(count, width, tables.size(), tables.data(), index.data(), sums + row * width, width);
    const float factor = program_.tables[0].factor;
    if (factor != 1) ops_.scale(count, width, factor, Matrix{sums + row * width, width});
  });
  forward(run, embed_, sums, x, embed_saved_);
}

double Network::run(const Batch& batch, uint32_t step, double weight, Threads& threads, Context& context,
                    float* logits) {
  const size_t h = program_.hidden, tokens = batch.tokens(), layers = layers_.size();
  size_t widest = 0;
  for (const TrainingTile& tile : batch.tiles) widest = std::max(widest, tile.tile.tokens());
  size_t floats = embed_.graph().scratch(widest, batch.longest);
  for (const auto& layer : layers_) floats = std::max(floats, layer->graph().scratch(widest, batch.longest));
  floats = std::max(floats, head_.graph().scratch(std::max(tokens, batch.texts()), 1));
  scratch_.resize(size_t(threads.count()));
  for (Growing& scratch : scratch_) scratch.get(floats);
  const HostRopes ropes(program_, batch.longest);
  const Run run{batch, step, threads, context, ropes.tables()};

  embed(run, input(0).get(tokens * h));
  float* features = features_.get((program_.every_row() ? tokens : batch.texts()) * h);
  for (size_t layer = 0; layer < layers; layer++)
    forward(run, *layers_[layer], input(layer).data(),
            layer + 1 == layers ? features : input(layer + 1).get(tokens * h), saved(layer));
  float *dy = d_[0].get(tokens * h), *dx = d_[1].get(tokens * h);
  const double loss =
      program_.language ? predict(run, features, weight, dy) : classify(run, features, weight, dy, logits);
  for (int layer = int(layers) - 1; layer >= std::max(lowest_, 0); layer--) {
    backward(run, *layers_[size_t(layer)], input(size_t(layer)).data(), dy, layer == lowest_ ? nullptr : dx,
             saved(size_t(layer)));
    std::swap(dy, dx);
  }
  if (lowest_ < 0) embedding_gradients(run, dy);
  return loss;
}

void Network::head_rows(const Run& run, size_t rows, float* x, float* y, const float* dy, float* dx) {
  const Batch& b = run.batch;
  const BackwardBlock& graph = head_.graph();
  const RowTile one(rows);
  const std::vector<Dropout> drops = dropout(graph.flow(), run.step);
  graph.fit_saved(head_saved_, rows, rows);
  const TrainingView view{
      backward_,       0, 0, b.text.data(), b.text_position.data(), b.text.data(), b.text_position.data(), drops,
      head_saved_.rows};
  const BackwardBlock::Pass pass{one.view(), view, run.ropes, head_.point(), x, scratch_[0].data()};
  head_.pack(run.threads, dy != nullptr);
  if (!dy) return graph.forward(pass, y);
  graph.fit_shared(shared_, rows, rows);
  std::vector<double> sums(graph.sums());
  graph.backward(pass, head_.packed(), head_saved_, shared_, dy, dx, sums.data());
  head_.vector_gradients(sums.data());
  head_.weight_gradients(x, head_saved_, shared_, dy, {rows, rows}, run.threads);
}

double Network::classify(const Run& run, float* x, double weight, float* dx, float* logits) {
  const Batch& b = run.batch;
  const size_t h = program_.hidden, texts = b.texts(), classes = program_.outputs;
  const bool mean = program_.select == Select::kMean;
  float* rows = mean ? picked_.get(2 * texts * h) : x;
  const auto each_text = [&](auto body) {
    for (const TrainingTile& tile : b.tiles)
      for (size_t t = 0; t < tile.tile.texts; t++)
        body(tile.first_text + t, tile.first_token + tile.tile.offsets[t],
             tile.tile.offsets[t + 1] - tile.tile.offsets[t]);
  };
  if (mean)
    each_text([&](size_t text, size_t first, size_t length) {
      std::vector<double> sum(h);
      backward_.add_rows(length, h, x + first * h, h, sum.data());
      for (size_t j = 0; j < h; j++) rows[text * h + j] = float(sum[j] / double(length));
    });
  head_rows(run, texts, rows, logits, nullptr, nullptr);
  std::vector<float> e(logits, logits + texts * classes);
  const double loss = cross_entropy(texts, classes, b.label.data(), weight, e.data());
  float* drows = mean ? rows + texts * h : dx;
  head_rows(run, texts, rows, nullptr, e.data(), drows);
  if (mean)
    each_text([&](size_t text, size_t first, size_t length) {
      for (size_t row = first; row < first + length; row++)
        for (size_t j = 0; j < h; j++) dx[row * h + j] = drows[text * h + j] / float(length);
    });
  return loss;
}

OutputLayer::Tensors Network::output_tensors() {
  OutputLayer::Tensors tensors;
  Parameter& weight = parameters_.at(program_.head_plan.weight);
  tensors.weight = weight.value.data();
  if (weight.trainable) tensors.weight_gradient = weight.gradient.data();
  if (program_.head_plan.bias.empty()) return tensors;
  Parameter& bias = parameters_.at(program_.head_plan.bias);
  tensors.bias = bias.value.data();
  if (bias.trainable) tensors.bias_gradient = bias.gradient.data();
  return tensors;
}

double Network::predict(const Run& run, const float* x, double weight, float* dx) {
  const Batch& b = run.batch;
  const size_t h = program_.hidden;
  std::vector<uint32_t> rows, targets;
  for (uint32_t row = 0; row < b.tokens(); row++) {
    if (b.targets[row] == kNoTarget) continue;
    rows.push_back(row);
    targets.push_back(b.targets[row]);
  }
  const size_t count = rows.size();
  float *picked = picked_.get(2 * count * h), *closed = closed_.get(2 * count * h);
  ops_.gather(count, h, x, h, rows.data(), picked, h);
  head_rows(run, count, picked, closed, nullptr, nullptr);
  output_->pack(run.threads);
  const bool below = lowest_ < int(layers_.size()) || head_.trainable();
  float *dclosed = closed + count * h, *dpicked = picked + count * h;
  const double loss = output_->run(count, closed, targets.data(), weight, run.threads, below ? dclosed : nullptr);
  if (!below) return loss;
  head_rows(run, count, picked, nullptr, dclosed, dpicked);
  std::memset(dx, 0, b.tokens() * h * sizeof(float));
  ops_.scatter_add(count, h, ConstMatrix{dpicked, h}, rows.data(), Matrix{dx, h});
  return loss;
}

void Network::embedding_gradients(const Run& run, float* dx) {
  const size_t width = program_.embedding;
  float* dsums = d_[dx == d_[0].data() ? 1 : 0].get(run.batch.tokens() * std::max(width, program_.hidden));
  backward(run, embed_, sums_.data(), dx, dsums, embed_saved_);
  for (size_t t = 0; t < program_.tables.size(); t++) scatter(run, t, dsums);
}

// gradient[index[i]] += dx[i] in the order of the tokens; a row is one task's.
void Network::scatter(const Run& run, size_t which, const float* dx) {
  const TablePlan& plan = program_.tables[which];
  Parameter& table = parameters_.at(plan.tensor);
  if (!table.trainable) return;
  // torch.nn.Embedding(padding_idx): that row gets no gradient
  const int64_t skip = plan.by == TableBy::kToken ? program_.padding_row : plan.padding;
  const std::vector<uint32_t>& index = run.batch.rows[which];
  const size_t h = program_.embedding;
  std::vector<uint32_t> order(index.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return index[a] < index[b]; });
  std::vector<size_t> starts;
  for (size_t i = 0; i < order.size(); i++)
    if (i == 0 || index[order[i]] != index[order[i - 1]]) starts.push_back(i);
  starts.push_back(order.size());
  run.threads.parallel(starts.size() - 1, [&](size_t group, int) {
    const uint32_t row = index[order[starts[group]]];
    if (int64_t(row) == skip) return;
    std::vector<double> sum(h);
    for (size_t i = starts[group]; i < starts[group + 1]; i++)
      backward_.add_rows(1, h, dx + order[i] * h, h, sum.data());
    const size_t at =
        table.sparse ? size_t(std::lower_bound(table.rows.begin(), table.rows.end(), row) - table.rows.begin()) : row;
    for (size_t j = 0; j < h; j++) table.gradient[at * h + j] += float(sum[j] * double(plan.factor));
  });
}

}  // namespace warp
