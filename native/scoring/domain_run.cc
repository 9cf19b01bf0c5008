// The gradients themselves: forward through all layers, back through one at a time, some coordinates kept.
#include "scoring/domains.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "scoring/domain_sample.h"
#include "training/batch.h"

namespace warp {
namespace {

constexpr size_t kMostTokens = 4096;  // of one batch, where one text is not longer
constexpr size_t kDepth = 512;        // rows of one product
constexpr size_t kRange = 96;         // sampled outputs of one task

}  // namespace

class DomainRun {
 public:
  DomainRun(const DomainJob& job, DomainGradients& out, Context* context)
      : job_(job), program_(job.program), ops_(cpu_ops()), backward_(cpu_backward_ops()), out_(out), context_(context),
        sampler_(job) {
    const size_t layers = program_.layers.size();
    out_.domains_ = job.domains;
    out_.blocks_ = job.blocks;
    out_.groups_ = layers + 1;
    for (size_t i = 0; i < layers; i++) {
      const bool selected = !program_.every_row() && i + 1 == layers;
      layers_.push_back(std::make_unique<BackwardBlock>(program_.layers[i], selected, ops_, backward_));
      const size_t before = sampler_.size();
      sampled_.push_back(sampler_.sample(program_.layers[i], i));
      if (sampler_.size() > before) lowest_ = std::min(lowest_, i);
    }
    const Block& head = program_.language ? program_.before_head : program_.head;
    head_ = std::make_unique<BackwardBlock>(head, false, ops_, backward_);
    sampled_.push_back(sampler_.sample(head, layers));
    size_ = sampler_.size();
    lowest_ = std::min(lowest_, layers);
  }

  size_t coordinates() const { return size_; }

  void run() {
    threads_ = std::make_unique<Threads>(job_.threads);
    out_.gradient_ = Buffer<float>(job_.domains * job_.blocks * size_);
    std::fill(out_.gradient_.begin(), out_.gradient_.end(), 0.0f);
    out_.texts_.assign(job_.domains * job_.blocks, 0);
    out_.loss_.assign(job_.domains * job_.blocks, 0);
    out_.segments_ = sampler_.segments();
    out_.delta_.resize(size_);
    for (size_t b = 0; b < sampled_.size(); b++) {
      const BackwardBlock& graph = b < layers_.size() ? *layers_[b] : *head_;
      sampler_.displacement(graph.block().weights, sampled_[b], out_.delta_.data());
    }
    const HostRopes ropes(program_, longest_text(job_.texts));
    ropes_ = &ropes.tables();
    TrainingTexts texts;
    texts.ids = job_.texts.ids;
    texts.offsets = job_.texts.offsets;
    texts.types = job_.texts.types;
    texts.label = job_.label;
    texts.targets = job_.texts.targets;
    for (uint32_t block = 0; block < job_.domains * job_.blocks; block++) {
      std::vector<uint32_t> chosen;
      for (uint32_t t = 0; t < job_.block.size(); t++)
        if (job_.block[t] == block) chosen.push_back(t);
      out_.texts_[block] = double(chosen.size());
      for (size_t first = 0, end = 0; first < chosen.size(); first = end) {
        size_t tokens = 0;
        while (end < chosen.size() && (end == first || tokens < kMostTokens)) {
          tokens += texts.offsets[chosen[end] + 1] - texts.offsets[chosen[end]];
          end++;
        }
        batch(make_batch(program_, texts, chosen.data() + first, end - first, 0), block);
        context_->progress(double(done_ += end - first), double(texts.texts()));
      }
      const float scale = float(1 / std::max(1.0, out_.texts_[block]));
      float* g = out_.gradient_.data() + block * size_;
      for (size_t i = 0; i < size_; i++) g[i] *= scale;
      out_.loss_[block] /= std::max(1.0, out_.texts_[block]);
      if (!std::isfinite(out_.loss_[block])) throw loss_not_finite(chosen.empty() ? 0 : chosen[0]);
    }
  }

 private:
  void batch(const Batch& b, uint32_t block) {
    const size_t h = program_.hidden, tokens = b.tokens(), layers = layers_.size();
    std::vector<Buffer<float>> inputs;
    for (size_t i = 0; i < layers; i++) inputs.emplace_back(tokens * h);
    Buffer<float> features((program_.every_row() ? tokens : b.texts()) * h), dy(tokens * h), dx(tokens * h);
    fit_scratch(b);
    embed(b, inputs[0].data());
    for (size_t i = 0; i < layers; i++) {
      const WeightSource source(*job_.path, program_.layers[i].weights);
      BlockPoint point = source.allocate(ops_);
      source.form(ops_, *threads_, job_.point, point);
      forward(b, *layers_[i], point, inputs[i].data(), i + 1 == layers ? features.data() : inputs[i + 1].data());
    }
    head(b, block, features, dy);
    for (size_t i = layers; i-- > lowest_;) {
      const WeightSource source(*job_.path, program_.layers[i].weights);
      BlockPoint point = source.allocate(ops_), turned = source.allocate_turned(ops_);
      source.form(ops_, *threads_, job_.point, point);
      source.form_turned(ops_, *threads_, job_.point, turned);
      Buffer<float> y(tokens * h);
      forward(b, *layers_[i], point, inputs[i].data(), y.data());
      back(b, *layers_[i], point, turned, inputs[i].data(), dy.data(), i == lowest_ ? nullptr : dx.data(),
           {tokens, b.texts()}, block, sampled_[i]);
      std::swap(dy, dx);
    }
  }

  void fit_scratch(const Batch& b) {
    size_t widest = 0;
    for (const TrainingTile& tile : b.tiles) widest = std::max(widest, tile.tile.tokens());
    size_t floats = head_->scratch(std::max(b.tokens(), b.texts()), 1);
    for (const auto& layer : layers_) floats = std::max(floats, layer->scratch(widest, b.longest));
    const Flow embed = make_flow(program_.embed, {false, true, true});
    floats = std::max(floats, embed.slot_floats(ops_, widest) + embed.rest_floats(ops_, b.longest, false));
    scratch_.resize(size_t(job_.threads));
    for (Growing& scratch : scratch_) scratch.get(floats);
  }

  void embed(const Batch& b, float* x) {
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
      tables.push_back(whole_point(job_.path->load_rows(program_.tables[t].tensor, used), job_.point));
      for (float& value : tables.back()) value *= program_.tables[t].factor;
      data.push_back(tables.back().data());
      index.push_back(std::move(at));
    }
    const WeightSource source(*job_.path, program_.embed.weights);
    BlockPoint point = source.allocate(ops_);
    source.form(ops_, *threads_, job_.point, point);
    const Flow flow = make_flow(program_.embed, {false, true, true});
    Buffer<float> sums(b.tokens() * width);
    threads_->parallel(b.tiles.size(), [&](size_t i, int worker) {
      const TrainingTile& tile = b.tiles[i];
      std::vector<const uint32_t*> here;
      for (const std::vector<uint32_t>& rows : index) here.push_back(rows.data() + tile.first_token);
      float *from = sums.data() + tile.first_token * width, *slots = scratch_[size_t(worker)].data();
      ops_.embed(tile.tile.tokens(), width, data.size(), data.data(), here.data(), from, width);
      run_flow({ops_, flow, point, *ropes_, tile.tile.view(), from, x + tile.first_token * program_.hidden, slots,
                slots + flow.slot_floats(ops_, tile.tile.tokens())});
    });
  }

  TrainingView view(const Batch& b, const TrainingTile& tile, const std::vector<Dropout>& none) const {
    return {backward_,          tile.first_token, tile.first_text,        b.token_text.data(),
            b.positions.data(), b.text.data(),    b.text_position.data(), none,
            saved_.rows};
  }

  void forward(const Batch& b, const BackwardBlock& graph, const BlockPoint& point, float* x, float* y) {
    graph.fit_saved(saved_, b.tokens(), b.texts());
    const std::vector<Dropout> none(graph.flow().actions.size());
    threads_->parallel(b.tiles.size(), [&](size_t i, int worker) {
      context_->check();
      const TrainingTile& tile = b.tiles[i];
      graph.forward({tile.tile.view(), view(b, tile, none), *ropes_, point, x, scratch_[size_t(worker)].data()}, y);
    });
  }

  void back(const Batch& b, const BackwardBlock& graph, const BlockPoint& point, const BlockPoint& turned, float* x,
            const float* dy, float* dx, BackwardBlock::Extent extent, uint32_t block, const Sampled& sampled) {
    graph.fit_shared(shared_, extent.tokens, extent.texts);
    const std::vector<Dropout> none(graph.flow().actions.size());
    std::vector<double> sums(b.tiles.size() * graph.sums());
    threads_->parallel(b.tiles.size(), [&](size_t i, int worker) {
      context_->check();
      const TrainingTile& tile = b.tiles[i];
      graph.backward({tile.tile.view(), view(b, tile, none), *ropes_, point, x, scratch_[size_t(worker)].data()},
                     turned.packed, saved_, shared_, dy, dx, sums.data() + i * graph.sums());
    });
    collect(graph, x, dy, extent, block, sampled, sums, b.tiles.size());
  }

  // The sampled coordinates of a block's gradients, added to those of its texts' block.
  void collect(const BackwardBlock& graph, const float* x, const float* dy, BackwardBlock::Extent extent,
               uint32_t block, const Sampled& sampled, const std::vector<double>& sums, size_t tiles) {
    float* gradient = out_.gradient_.data() + block * size_;
    const BlockWeights& weights = graph.block().weights;
    size_t at = 0;
    for (size_t v = 0; v < weights.vectors.size(); at += weights.vectors[v].size, v++)
      for (size_t j = 0; sampled.vectors[v].first && j < weights.vectors[v].size; j++) {
        double sum = 0;
        for (size_t tile = 0; tile < tiles; tile++) sum += sums[tile * graph.sums() + at + j];
        gradient[sampled.vectors[v].second + j] += float(sum);
      }
    struct Task {
      size_t linear, first, count;
    };
    std::vector<Task> tasks;
    for (size_t i = 0; i < weights.linears.size(); i++)
      for (size_t first = 0; first < sampled.linears[i].outputs.size(); first += kRange)
        tasks.push_back({i, first, std::min(kRange, sampled.linears[i].outputs.size() - first)});
    threads_->parallel(tasks.size(), [&](size_t t, int) {
      const Task& task = tasks[t];
      const Sampled::Linear& s = sampled.linears[task.linear];
      const Factor f = graph.factor(task.linear, x, saved_, shared_, dy, extent);
      const size_t inputs = weights.linears[task.linear].inputs;
      Buffer<float> picked(kDepth * kRange), scratch(backward_.outer_scratch(kDepth, kRange));
      for (size_t top = 0; top < f.rows; top += kDepth) {
        const size_t depth = std::min(kDepth, f.rows - top);
        for (size_t r = 0; r < depth; r++)
          for (size_t j = 0; j < task.count; j++)
            picked[r * task.count + j] = f.dy[(top + r) * f.lddy + s.outputs[task.first + j]];
        backward_.outer(depth, task.count, inputs, picked.data(), task.count, f.x + top * f.ldx, f.ldx,
                        gradient + s.at + task.first * inputs, inputs, scratch.data());
      }
    });
    for (size_t i = 0; i < weights.linears.size(); i++)
      for (size_t n = 0; n < sampled.linears[i].biases.size(); n++) {
        const auto [first, count] = sampled.linears[i].biases[n];
        const Factor f = graph.factor(i, x, saved_, shared_, dy, extent);
        std::vector<double> total(count);
        backward_.add_rows(f.rows, count, f.dy + first, f.lddy, total.data());
        for (size_t j = 0; j < count; j++) gradient[sampled.linears[i].bias_at[n] + j] += float(total[j]);
      }
  }

  // The head's block on rows that stand alone, there and, with dy, back.
  void head_rows(size_t rows, float* x, float* y, const float* dy, float* dx, uint32_t block) {
    Batch alone;
    alone.token_text = alone.positions = alone.text = alone.text_position = std::vector<uint32_t>(rows, 0);
    const WeightSource source(*job_.path, head_->block().weights);
    BlockPoint point = source.allocate(ops_);
    source.form(ops_, *threads_, job_.point, point);
    head_->fit_saved(saved_, rows, rows);
    const std::vector<Dropout> none(head_->flow().actions.size());
    const RowTile one(rows);
    const TrainingTile tile{0, 0, {}};
    const BackwardBlock::Pass pass{one.view(), view(alone, tile, none), *ropes_, point, x, scratch_[0].data()};
    head_->forward(pass, y);
    if (!dy) return;
    BlockPoint turned = source.allocate_turned(ops_);
    source.form_turned(ops_, *threads_, job_.point, turned);
    head_->fit_shared(shared_, rows, rows);
    std::vector<double> sums(head_->sums());
    head_->backward(pass, turned.packed, saved_, shared_, dy, dx, sums.data());
    collect(*head_, x, dy, {rows, rows}, block, sampled_.back(), sums, 1);
  }

  void head(const Batch& b, uint32_t block, Buffer<float>& features, Buffer<float>& dy) {
    const size_t h = program_.hidden;
    std::fill(dy.begin(), dy.end(), 0.0f);
    if (program_.language) return predict(b, block, features, dy);
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
    head_rows(texts, rows.data(), logits.data(), nullptr, nullptr, block);
    std::vector<double> loss(texts);
    std::vector<uint32_t> target(b.label.begin(), b.label.end());
    ops_.cross_entropy(texts, classes, Matrix{logits.data(), classes}, target.data(), loss.data(), 1.0f,
                       Matrix{e.data(), classes});
    for (double l : loss) out_.loss_[block] += l;
    head_rows(texts, rows.data(), logits.data(), e.data(), drows.data(), block);
    for (const TrainingTile& tile : b.tiles)
      for (size_t t = 0; t < tile.tile.texts; t++) {
        const size_t text = tile.first_text + t, first = tile.first_token + tile.tile.offsets[t];
        const size_t count = mean ? length(t, tile) : 1;
        for (size_t r = 0; r < count; r++)
          for (size_t j = 0; j < h; j++) dy[((mean ? first : text) + r) * h + j] = drows[text * h + j] / float(count);
      }
  }

  void predict(const Batch& b, uint32_t block, Buffer<float>& features, Buffer<float>& dy) {
    const size_t h = program_.hidden, width = program_.before_head.output_width();
    std::vector<uint32_t> rows, targets;
    for (uint32_t row = 0; row < b.tokens(); row++)
      if (b.targets[row] != kNoTarget) {
        rows.push_back(row);
        targets.push_back(b.targets[row]);
      }
    const size_t count = rows.size();
    Buffer<float> picked(count * h), closed(count * width), dclosed(count * width), dpicked(count * h);
    ops_.gather(count, h, features.data(), h, rows.data(), picked.data(), h);
    head_rows(count, picked.data(), closed.data(), nullptr, nullptr, block);
    if (weight_.size() == 0) {
      weight_ = whole_point(job_.path->load(program_.head_plan.weight), job_.point);
      if (!program_.head_plan.bias.empty()) bias_ = whole_point(job_.path->load(program_.head_plan.bias), job_.point);
      OutputLayer::Tensors tensors;
      tensors.weight = weight_.data();
      tensors.bias = bias_.size() ? bias_.data() : nullptr;
      output_ = std::make_unique<OutputLayer>(program_, tensors, ops_, backward_);
      output_->pack(*threads_);
    }
    out_.loss_[block] += output_->run(count, closed.data(), targets.data(), 1.0, *threads_, dclosed.data());
    head_rows(count, picked.data(), closed.data(), dclosed.data(), dpicked.data(), block);
    ops_.scatter_add(count, h, Matrix{dpicked.data(), h}, rows.data(), Matrix{dy.data(), h});
  }

  const DomainJob& job_;
  const Program& program_;
  const Ops& ops_;
  const BackwardOps& backward_;
  DomainGradients& out_;
  Context* const context_;
  std::unique_ptr<Threads> threads_;
  std::vector<std::unique_ptr<BackwardBlock>> layers_;
  std::unique_ptr<BackwardBlock> head_;
  Sampler sampler_;
  std::vector<Sampled> sampled_;
  size_t size_ = 0, lowest_ = size_t(-1), done_ = 0;
  const std::vector<RopeTable>* ropes_ = nullptr;
  BlockMemory saved_, shared_;
  std::vector<Growing> scratch_;
  Buffer<float> weight_, bias_;  // a language model's output layer
  std::unique_ptr<OutputLayer> output_;
};

std::shared_ptr<DomainGradients> DomainGradients::compute(const DomainJob& job, Context& context) {
  const uint64_t planned = planned_bytes(job);
  if (planned > job.memory) throw memory_budget(planned, job.memory);
  auto out = std::make_shared<DomainGradients>();
  DomainRun(job, *out, &context).run();
  return out;
}

uint64_t DomainGradients::planned_bytes(const DomainJob& job) {
  DomainGradients none;
  const DomainRun run(job, none, nullptr);
  const Program& p = job.program;
  const size_t tokens = std::min<size_t>(job.texts.ids.size(), kMostTokens + longest_text(job.texts));
  uint64_t layer = 0, widest = 0;
  for (const Block& block : p.layers) {
    layer = std::max(layer, WeightSource::stored_bytes(*job.path, block.weights) +
                                2 * WeightSource::point_bytes(cpu_ops(), block.weights));
    uint64_t width = 0;
    for (uint32_t w : block.widths) width += w;
    widest = std::max(widest, width);
  }
  const uint64_t rows = tokens * (p.hidden * (p.layers.size() + 5) + 2 * widest) * sizeof(float);
  const uint64_t output =
      p.language ? (2 * p.outputs * p.features() + 384 * p.outputs + uint64_t(job.threads) * 96 * 1024) * 4 : 0;
  return rows + layer + output + (job.domains * job.blocks + 1) * run.coordinates() * sizeof(float);
}

}  // namespace warp
