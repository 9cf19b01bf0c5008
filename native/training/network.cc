#include "training/network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/random.h"

namespace warp {

Network::Network(const Model& model, Parameters& parameters, const DropoutRates& rates, uint64_t seed)
    : model_(model), spec_(model.spec), parameters_(parameters), rates_(rates), seed_(seed), ops_(cpu_ops()),
      backward_(cpu_backward_ops()), head_(model, parameters, ops_, backward_), saves_(model.spec.layers) {
  lowest_ = int(spec_.layers);
  for (size_t i = 0; i < spec_.layers; i++) {
    layers_.push_back(std::make_unique<TrainingLayer>(spec_, model.layer(i), parameters, ops_, backward_));
    if (layers_.back()->trainable()) lowest_ = std::min(lowest_, int(i));
  }
  const EmbeddingPlan plan = model.embedding();
  for (const std::string& name : {plan.words, plan.positions, plan.types, plan.gain, plan.bias})
    if (!name.empty() && parameters.trainable(name)) lowest_ = -1;
}

Dropout Network::dropout(const std::string& site, double rate, uint32_t step) const {
  const uint64_t key = fnv1a("dropout " + site) ^ seed_;
  return {{uint32_t(key), uint32_t(key >> 32)}, step, uint32_t(std::lround(rate * 65536))};
}

LayerDropout Network::layer_dropout(size_t layer, uint32_t step) const {
  const std::string at = std::to_string(layer);
  return {dropout("attention " + at, rates_.attention, step), dropout("projection " + at, rates_.hidden, step),
          dropout("output " + at, rates_.hidden, step)};
}

void Network::embed(const Batch& batch, uint32_t step, Threads& threads, float* x) {
  const EmbeddingPlan plan = model_.embedding();
  const size_t h = spec_.hidden;
  const bool typed = !plan.types.empty(), normed = !plan.gain.empty();
  const float* tables[] = {parameters_.value(plan.words), parameters_.value(plan.positions),
                           typed ? parameters_.value(plan.types) : nullptr};
  const float *gain = normed ? parameters_.value(plan.gain) : nullptr,
              *bias = normed ? parameters_.value(plan.bias) : nullptr;
  float* sums = normed ? embedded_.get(batch.tokens() * h) : x;
  const Dropout drop = dropout("embedding", rates_.embedding, step);
  threads.parallel(batch.tiles.size(), [&](size_t i, int) {
    const size_t row = batch.tiles[i].first_token, rows = batch.tiles[i].tile.tokens();
    const uint32_t* index[] = {batch.words.data() + row, batch.positions.data() + row, batch.types.data() + row};
    ops_.embed(rows, h, typed ? 3 : 2, tables, index, sums + row * h, h);
    if (normed) ops_.layer_norm(rows, h, sums + row * h, h, nullptr, 0, gain, bias, spec_.epsilon, x + row * h, h);
    if (drop.threshold)
      backward_.dropout(rows, h, drop, batch.token_text.data() + row, batch.positions.data() + row, x + row * h, h);
  });
}

double Network::run(const Batch& batch, uint32_t step, double weight, Threads& threads, Context& context,
                    float* logits) {
  const size_t h = spec_.hidden, tokens = batch.tokens(), texts = batch.texts(), layers = layers_.size();
  size_t widest = 0;
  for (const TrainingTile& tile : batch.tiles) widest = std::max(widest, tile.tile.tokens());
  scratch_.resize(size_t(threads.count()));
  for (Growing& scratch : scratch_) scratch.get(layers_[0]->scratch(widest, batch.longest));
  float* features = features_.get(texts * h);

  saves(0).fit(spec_, tokens, last(0) ? texts : tokens);
  embed(batch, step, threads, saves(0).x);
  for (size_t layer = 0; layer < layers; layer++) {
    if (!last(layer)) saves(layer + 1).fit(spec_, tokens, last(layer + 1) ? texts : tokens);
    float* y = last(layer) ? features : saves(layer + 1).x;
    const LayerDropout drops = layer_dropout(layer, step);
    layers_[layer]->pack(threads, false);
    threads.parallel(batch.tiles.size(), [&](size_t i, int worker) {
      context.check();
      layers_[layer]->forward(batch, batch.tiles[i], last(layer), drops, saves(layer), y, scratch_[worker].data());
    });
  }
  float *dy = d_[0].get(tokens * h), *dx = d_[1].get(tokens * h);
  const double loss = head_.run(batch, features, weight, dropout("head", rates_.head, step), dy, logits);
  for (int layer = int(layers) - 1; layer >= std::max(lowest_, 0); layer--) {
    backward_layer(batch, size_t(layer), step, dy, layer == lowest_ ? nullptr : dx, threads, context);
    std::swap(dy, dx);
  }
  if (lowest_ < 0) embedding_gradients(batch, step, threads, dy);
  return loss;
}

void Network::backward_layer(const Batch& batch, size_t index, uint32_t step, const float* dy, float* dx,
                             Threads& threads, Context& context) {
  const size_t h = spec_.hidden, tiles = batch.tiles.size();
  TrainingLayer& layer = *layers_[index];
  const LayerDropout drops = layer_dropout(index, step);
  gradients_.fit(spec_, batch.tokens(), last(index) ? batch.texts() : batch.tokens());
  std::vector<double> sums(tiles * 4 * h);
  layer.pack(threads, true);
  threads.parallel(tiles, [&](size_t i, int worker) {
    context.check();
    layer.backward(batch, batch.tiles[i], last(index), drops, saves_[index], dy, gradients_, dx,
                   sums.data() + i * 4 * h, scratch_[worker].data());
  });
  for (size_t i = 1; i < tiles; i++)
    for (size_t j = 0; j < 4 * h; j++) sums[j] += sums[i * 4 * h + j];
  layer.vector_gradients(sums.data());
  layer.weight_gradients(batch, last(index), saves_[index], gradients_, threads);
}

void Network::embedding_gradients(const Batch& batch, uint32_t step, Threads& threads, float* dx) {
  const EmbeddingPlan plan = model_.embedding();
  const size_t h = spec_.hidden, tiles = batch.tiles.size();
  const Dropout drop = dropout("embedding", rates_.embedding, step);
  const bool normed = !plan.gain.empty();
  std::vector<double> sums(tiles * 2 * h);
  threads.parallel(tiles, [&](size_t i, int) {
    const size_t row = batch.tiles[i].first_token, rows = batch.tiles[i].tile.tokens();
    float* here = dx + row * h;
    if (drop.threshold)
      backward_.dropout(rows, h, drop, batch.token_text.data() + row, batch.positions.data() + row, here, h);
    if (normed)
      backward_.layer_norm_backward(rows, h, embedded_.data() + row * h, h, parameters_.value(plan.gain), spec_.epsilon,
                                    here, h, here, h, sums.data() + i * 2 * h, sums.data() + (i * 2 + 1) * h);
  });
  for (size_t i = 0; normed && i < tiles; i++)
    for (size_t side = 0; side < 2; side++) {
      Parameter& vector = parameters_.at(side ? plan.bias : plan.gain);
      for (size_t j = 0; vector.trainable && j < h; j++) vector.gradient[j] += float(sums[(i * 2 + side) * h + j]);
    }
  // BERT's [PAD] row gets no gradient, as with torch.nn.Embedding(padding_idx)
  scatter(parameters_.at(plan.words), batch.words, spec_.kind == "bert" ? spec_.pad : -1, dx, threads);
  scatter(parameters_.at(plan.positions), batch.positions, -1, dx, threads);
  if (!plan.types.empty()) scatter(parameters_.at(plan.types), batch.types, -1, dx, threads);
}

// gradient[index[i]] += dx[i] in the order of the tokens; a row is one task's.
void Network::scatter(Parameter& table, const std::vector<uint32_t>& index, int64_t skip, const float* dx,
                      Threads& threads) {
  if (!table.trainable) return;
  const size_t h = spec_.hidden;
  std::vector<uint32_t> order(index.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return index[a] < index[b]; });
  std::vector<size_t> starts;
  for (size_t i = 0; i < order.size(); i++)
    if (i == 0 || index[order[i]] != index[order[i - 1]]) starts.push_back(i);
  starts.push_back(order.size());
  threads.parallel(starts.size() - 1, [&](size_t group, int) {
    const uint32_t row = index[order[starts[group]]];
    if (int64_t(row) == skip) return;
    std::vector<double> sum(h);
    for (size_t i = starts[group]; i < starts[group + 1]; i++)
      backward_.add_rows(1, h, dx + order[i] * h, h, sum.data());
    const size_t at =
        table.sparse ? size_t(std::lower_bound(table.rows.begin(), table.rows.end(), row) - table.rows.begin()) : row;
    for (size_t j = 0; j < h; j++) table.gradient[at * h + j] += float(sum[j]);
  });
}

}  // namespace warp
