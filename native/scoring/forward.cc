#include "scoring/forward.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "scoring/form.h"

namespace warp {
namespace {

class Run {
 public:
  Run(const Model& model, const Ops& ops, const Path& path, const PackedTexts& texts, const std::vector<Tile>& tiles,
      const ForwardPlan& plan, Threads& threads, Context& context)
      : model_(model), ops_(ops), path_(path), texts_(texts), tiles_(tiles), threads_(threads), context_(context),
        hidden_(model.spec.hidden), points_(path.points() + 2),
        total_(double(plan.tokens) * double(model.spec.layers) * double(points_)),
        features_(size_t(points_) * texts.texts() * hidden_) {
    size_t tokens = 0, longest = 0;
    for (const Tile& tile : tiles) {
      tokens = std::max(tokens, tile.tokens());
      for (size_t t = 0; t < tile.texts; t++)
        longest = std::max<size_t>(longest, tile.offsets[t + 1] - tile.offsets[t]);
    }
    longest_ = longest;
    for (int i = 0; i < threads.count(); i++) scratch_.emplace_back(model.scratch(ops, tokens, longest));
  }

  Buffer<float> run(const ForwardPlan& plan) {
    size_t begin = 0;
    for (size_t end : plan.chunk_ends) {
      chunk(begin, end);
      begin = end;
    }
    return std::move(features_);
  }

 private:
  void chunk(size_t begin, size_t end) {
    starts_.assign(1, 0);
    for (size_t i = begin; i < end; i++) starts_.push_back(starts_.back() + tiles_[i].tokens());
    rows_ = starts_.back();
    x_ = Buffer<float>();
    x_ = Buffer<float>(size_t(points_) * rows_ * hidden_);
    embed(begin, end);
    for (size_t layer = 0; layer < model_.spec.layers; layer++) {
      const LayerPlan plan = model_.layer(layer);
      const LayerSource source(path_, plan);
      LayerPoint weights = source.allocate(ops_);
      for (int p = 0; p < points_; p++) {
        source.form(ops_, threads_, p - 1, weights);
        threads_.parallel(end - begin, [&](size_t i, int worker) {
          context_.check();
          const Tile& tile = tiles_[begin + i];
          model_.run(ops_, weights, tile.view(), layer + 1 == model_.spec.layers, activations(p, i),
                     scratch_[worker].data());
          context_.progress(add_done(double(tile.tokens())), total_);
        });
      }
    }
    finish(begin, end);
  }

  double add_done(double tokens) {  // C++17 has no fetch_add for doubles
    double seen = done_.load();
    while (!done_.compare_exchange_weak(seen, seen + tokens)) {}
    return seen + tokens;
  }

  float* activations(int point, size_t tile) { return x_.data() + (size_t(point) * rows_ + starts_[tile]) * hidden_; }

  // Embedding rows of the chunk's own tokens only; then the normalisation where there is one.
  void embed(size_t begin, size_t end) {
    const EmbeddingPlan plan = model_.embedding();
    const size_t first = texts_.offsets[tiles_[begin].first_text];
    std::vector<uint32_t> used(texts_.ids.begin() + first, texts_.ids.begin() + first + rows_);
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    std::vector<uint32_t> word(rows_), position(rows_), type(rows_), positions(longest_), types(model_.spec.types);
    for (uint32_t i = 0; i < longest_; i++) positions[i] = i;
    for (uint32_t i = 0; i < types.size(); i++) types[i] = i;
    for (size_t i = 0; i < rows_; i++) {
      word[i] = uint32_t(std::lower_bound(used.begin(), used.end(), texts_.ids[first + i]) - used.begin());
      if (!texts_.types.empty()) type[i] = texts_.types[first + i];
    }
    for (size_t t = tiles_[begin].first_text; t < tiles_[end - 1].first_text + tiles_[end - 1].texts; t++)
      for (uint32_t i = texts_.offsets[t]; i < texts_.offsets[t + 1]; i++) position[i - first] = i - texts_.offsets[t];

    const PathTensor words = path_.load_rows(plan.words, used), places = path_.load_rows(plan.positions, positions);
    const bool typed = !plan.types.empty(), normed = !plan.gain.empty();
    const PathTensor kinds = typed ? path_.load_rows(plan.types, types) : PathTensor();
    const PathTensor gain = normed ? path_.load(plan.gain) : PathTensor(),
                     bias = normed ? path_.load(plan.bias) : PathTensor();
    for (int p = 0; p < points_; p++) {
      const int k = p - 1;
      const Buffer<float> w = form_rows(words, k), s = whole_point(places, k);
      const Buffer<float> t = typed ? whole_point(kinds, k) : Buffer<float>();
      const Buffer<float> g = normed ? whole_point(gain, k) : Buffer<float>(),
                          b = normed ? whole_point(bias, k) : Buffer<float>();
      threads_.parallel(end - begin, [&](size_t i, int) {
        context_.check();
        const float* tables[] = {w.data(), s.data(), t.data()};
        const uint32_t* index[] = {word.data() + starts_[i], position.data() + starts_[i], type.data() + starts_[i]};
        const size_t rows = tiles_[begin + i].tokens();
        float* x = activations(p, i);
        ops_.embed(rows, hidden_, typed ? 3 : 2, tables, index, x, hidden_);
        if (normed)
          ops_.layer_norm(rows, hidden_, x, hidden_, nullptr, 0, g.data(), b.data(), model_.spec.epsilon, x, hidden_);
      });
    }
  }

  Buffer<float> form_rows(const PathTensor& tensor, int k) {
    constexpr size_t kStep = 1 << 16;
    Buffer<float> values(tensor.elements());
    threads_.parallel((tensor.elements() + kStep - 1) / kStep, [&](size_t task, int) {
      const size_t from = task * kStep;
      tensor.point(k, from, std::min(kStep, tensor.elements() - from), values.data() + from);
    });
    return values;
  }

  // The selected rows, which the last layer left at the front of each tile, go to the head inputs.
  void finish(size_t begin, size_t end) {
    const std::vector<std::string> norm = model_.final_norm();
    for (int p = 0; p < points_; p++) {
      Buffer<float> gain, bias;
      if (!norm.empty()) {
        gain = whole_point(path_.load(norm[0]), p - 1);
        bias = whole_point(path_.load(norm[1]), p - 1);
      }
      for (size_t i = 0; i < end - begin; i++) {
        const Tile& tile = tiles_[begin + i];
        float* to = features_.data() + (size_t(p) * texts_.texts() + tile.first_text) * hidden_;
        if (norm.empty()) std::memcpy(to, activations(p, i), tile.texts * hidden_ * sizeof(float));
        else
          ops_.layer_norm(tile.texts, hidden_, activations(p, i), hidden_, nullptr, 0, gain.data(), bias.data(),
                          model_.spec.epsilon, to, hidden_);
      }
    }
  }

  const Model& model_;
  const Ops& ops_;
  const Path& path_;
  const PackedTexts& texts_;
  const std::vector<Tile>& tiles_;
  Threads& threads_;
  Context& context_;
  const size_t hidden_;
  const int points_;
  const double total_;
  size_t longest_ = 0, rows_ = 0;
  std::atomic<double> done_{0};
  std::vector<Buffer<float>> scratch_;
  std::vector<size_t> starts_;  // first row of each tile of the chunk
  Buffer<float> x_, features_;
};

}  // namespace

Buffer<float> run_forward(const Model& model, const Ops& ops, const Path& path, const PackedTexts& texts,
                          const std::vector<Tile>& tiles, const ForwardPlan& plan, Threads& threads, Context& context) {
  return Run(model, ops, path, texts, tiles, plan, threads, context).run(plan);
}

}  // namespace warp
