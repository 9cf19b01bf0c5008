#include "training/layer.h"

#include <algorithm>
#include <cstring>

namespace warp {
namespace {

// Post-norm: after the attention, after the feed-forward. Pre-norm: before the attention, before the feed-forward.
enum { kFirstGain, kFirstBias, kSecondGain, kSecondBias };

constexpr size_t kPackStep = 64;  // a multiple of every backend's panel
constexpr size_t kRange = 96;     // rows of a weight whose gradient is one task
constexpr size_t kDepth = 512;    // tokens of one product of a weight's gradient

}  // namespace

void LayerSaves::fit(const ModelSpec& spec, size_t tokens, size_t rows) {
  const size_t h = spec.hidden;
  x = x_.get(tokens * h);
  q = q_.get(rows * h);
  kv = kv_.get(tokens * 2 * h);
  context = context_.get(rows * h);
  mid = mid_.get(rows * h);
  up = up_.get(rows * spec.intermediate);
  out = spec.kind == "bert" ? out_.get(rows * h) : nullptr;
}

void LayerGradients::fit(const ModelSpec& spec, size_t tokens, size_t rows) {
  const size_t h = spec.hidden;
  down = down_.get(rows * h);
  acts = acts_.get(rows * spec.intermediate);
  normed = normed_.get(rows * h);
  projected = projected_.get(rows * h);
  q = q_.get(rows * h);
  kv = kv_.get(tokens * 2 * h);
  input = spec.kind == "bert" ? nullptr : input_.get(tokens * h);
  asking = asking_.get(rows * h);
}

TrainingLayer::TrainingLayer(const ModelSpec& spec, LayerPlan plan, Parameters& parameters, const Ops& ops,
                             const BackwardOps& backward)
    : spec_(spec), plan_(std::move(plan)), parameters_(parameters), ops_(ops), backward_(backward) {
  for (const std::string& name : plan_.vectors) vectors_.push_back(&parameters.at(name));
  for (const LinearPlan& linear : plan_.linears) {
    packed_.emplace_back(
        std::max(ops.packed_size(linear.outputs(), linear.inputs), ops.packed_size(linear.inputs, linear.outputs())));
    bias_.emplace_back(linear.outputs());
    for (size_t i = 0; linear.by_inputs && i < linear.parts.size(); i++)
      if (linear.parts[i].first != linear.parts[0].first + i * linear.part_outputs ||
          linear.parts[i].weight != linear.parts[0].weight)
        throw internal_error("columns of " + linear.parts[i].weight + " are not next to each other");
  }
}

bool TrainingLayer::trainable() const {
  for (const Parameter* vector : vectors_)
    if (vector->trainable) return true;
  for (const LinearPlan& linear : plan_.linears)
    for (const LinearPlan::Part& part : linear.parts)
      if (parameters_.trainable(part.weight) || parameters_.trainable(part.bias)) return true;
  return false;
}

size_t TrainingLayer::scratch(size_t tokens, size_t longest) const {
  const size_t widest = std::max(spec_.hidden, spec_.intermediate), block = std::min(tokens, ops_.block_rows());
  const size_t rest =
      std::max({ops_.linear_scratch(spec_.hidden), ops_.linear_scratch(spec_.intermediate),
                ops_.linear_scratch(2 * spec_.hidden), ops_.attention_scratch(longest, spec_.head_size()),
                backward_.attention_scratch(longest, spec_.head_size()), ops_.linear_scratch(widest)});
  return 4 * tokens * spec_.hidden + block * (spec_.intermediate + spec_.hidden) + rest;
}

TrainingLayer::Rows TrainingLayer::rows_of(const TrainingTile& tile, bool selected_only) const {
  return selected_only ? Rows{tile.first_text, tile.tile.texts} : Rows{tile.first_token, tile.tile.tokens()};
}

void TrainingLayer::pack(Threads& threads, bool turned) {
  std::vector<std::pair<size_t, size_t>> tasks;  // linear layer, first row
  for (size_t i = 0; i < plan_.linears.size(); i++) {
    const LinearPlan& linear = plan_.linears[i];
    const size_t rows = linear.by_inputs ? linear.inputs : linear.outputs();
    for (size_t first = 0; first < rows; first += kPackStep) tasks.push_back({i, first});
    for (size_t part = 0; !turned && part < linear.parts.size(); part++)
      std::memcpy(bias_[i].data() + part * linear.part_outputs,
                  parameters_.value(linear.parts[part].bias) + linear.parts[part].first,
                  linear.part_outputs * sizeof(float));
  }
  threads.parallel(tasks.size(), [&](size_t task, int) {
    const auto [i, first] = tasks[task];
    const LinearPlan& linear = plan_.linears[i];
    pack_part(i, first, std::min(kPackStep, (linear.by_inputs ? linear.inputs : linear.outputs()) - first), turned);
  });
}

void TrainingLayer::pack_part(size_t i, size_t first, size_t count, bool turned) {
  const LinearPlan& linear = plan_.linears[i];
  const size_t outputs = linear.outputs(), inputs = linear.inputs;
  float* packed = packed_[i].data();
  if (linear.by_inputs) {
    const size_t ld = linear.stored_outputs;
    const float* rows = parameters_.value(linear.parts[0].weight) + first * ld + linear.parts[0].first;
    return turned ? ops_.pack_outputs(inputs, outputs, first, count, rows, ld, packed)
                  : ops_.pack_inputs(outputs, inputs, first, count, rows, ld, packed);
  }
  while (count > 0) {  // a step may straddle parts
    const size_t part = first / linear.part_outputs, row = first % linear.part_outputs;
    const size_t take = std::min(count, linear.part_outputs - row);
    const float* rows = parameters_.value(linear.parts[part].weight) + row * inputs;
    if (turned) ops_.pack_inputs(inputs, outputs, first, take, rows, inputs, packed);
    else ops_.pack_outputs(outputs, inputs, first, take, rows, inputs, packed);
    first += take;
    count -= take;
  }
}

void TrainingLayer::product(int i, size_t rows, const float* x, size_t ldx, float* y, size_t ldy, float* rest) const {
  const LinearPlan& linear = plan_.linears[i];
  ops_.linear(rows, linear.outputs(), linear.inputs, x, ldx, packed_[i].data(), bias_[i].data(), Activation::kNone, y,
              ldy, rest);
}

void TrainingLayer::turned_product(int i, size_t rows, const float* dy, size_t lddy, float* dx, size_t lddx,
                                   float* rest) const {
  const LinearPlan& linear = plan_.linears[i];
  ops_.linear(rows, linear.inputs, linear.outputs(), dy, lddy, packed_[i].data(), nullptr, Activation::kNone, dx, lddx,
              rest);
}

void TrainingLayer::attend(const Batch& batch, const TrainingTile& t, bool selected_only, const Dropout& dropout,
                           const LayerSaves& saves, Rows rows, float* rest) const {
  const size_t h = spec_.hidden;
  const Tile& tile = t.tile;
  const uint32_t* queries = selected_only ? tile.selected.data() : nullptr;
  const float *q = saves.q + rows.first * h, *k = saves.kv + t.first_token * 2 * h;
  float* out = saves.context + rows.first * h;
  if (dropout.threshold == 0)
    ops_.attention(tile.texts, tile.offsets.data(), spec_.heads, spec_.head_size(), !post_norm(), queries, q, h, k,
                   k + h, 2 * h, out, h, rest);
  else
    backward_.attention(tile.texts, tile.offsets.data(), spec_.heads, spec_.head_size(), !post_norm(), queries, q, h, k,
                        k + h, 2 * h, dropout, batch.text[t.first_text], out, h, rest);
}

void TrainingLayer::drop(const Batch& batch, const Dropout& dropout, bool selected_only, size_t row, size_t count,
                         float* x) const {
  if (dropout.threshold == 0) return;
  const uint32_t* texts = (selected_only ? batch.text : batch.token_text).data() + row;
  const uint32_t* positions = (selected_only ? batch.text_position : batch.positions).data() + row;
  backward_.dropout(count, spec_.hidden, dropout, texts, positions, x, spec_.hidden);
}

void TrainingLayer::forward(const Batch& batch, const TrainingTile& tile, bool selected_only,
                            const LayerDropout& dropout, LayerSaves& saves, float* y, float* scratch) const {
  const size_t h = spec_.hidden, f = spec_.intermediate, tokens = tile.tile.tokens();
  const Rows rows = rows_of(tile, selected_only);
  const float* x = saves.x + tile.first_token * h;
  float *normed = scratch, *gathered = normed + tokens * h, *block = gathered + tokens * h;
  float *small = block + std::min(tokens, ops_.block_rows()) * f,
        *rest = small + std::min(tokens, ops_.block_rows()) * h;
  const float* from = x;
  if (!post_norm()) {
    ops_.layer_norm(tokens, h, x, h, nullptr, 0, vector(kFirstGain), vector(kFirstBias), spec_.epsilon, normed, h);
    from = normed;
  }
  const float *asking = from, *residual = x;
  if (selected_only) {
    ops_.gather(rows.count, h, from, h, tile.tile.rows.data(), gathered, h);
    asking = gathered;
  }
  product(kQuery, rows.count, asking, h, saves.q + rows.first * h, h, rest);
  product(kKeyValue, tokens, from, h, saves.kv + tile.first_token * 2 * h, 2 * h, rest);
  attend(batch, tile, selected_only, dropout.attention, saves, rows, rest);
  if (selected_only) {
    ops_.gather(rows.count, h, x, h, tile.tile.rows.data(), gathered, h);
    residual = gathered;
  }
  for (size_t top = 0; top < rows.count; top += ops_.block_rows()) {
    const size_t height = std::min(ops_.block_rows(), rows.count - top), row = rows.first + top;
    float *mid = saves.mid + row * h, *up = saves.up + row * f, *to = y + row * h;
    product(kProjection, height, saves.context + row * h, h, mid, h, rest);
    drop(batch, dropout.projection, selected_only, row, height, mid);
    ops_.add(height, h, residual + top * h, h, mid, h);
    const int norm = post_norm() ? kFirstGain : kSecondGain;
    ops_.layer_norm(height, h, mid, h, nullptr, 0, vector(norm), vector(norm + 1), spec_.epsilon, small, h);
    product(kUp, height, small, h, up, f, rest);
    backward_.activate(spec_.activation, height, f, up, f, block, f);
    float* out = post_norm() ? saves.out + row * h : to;
    product(kDown, height, block, f, out, h, rest);
    drop(batch, dropout.output, selected_only, row, height, out);
    ops_.add(height, h, post_norm() ? small : mid, h, out, h);
    if (post_norm())
      ops_.layer_norm(height, h, out, h, nullptr, 0, vector(kSecondGain), vector(kSecondBias), spec_.epsilon, to, h);
  }
}

// From dy, the gradient of the layer's output, to dmid, that of saves.mid (rows × hidden, from the tile's first row).
void TrainingLayer::feed_backward(const Batch& batch, Rows rows, bool selected_only, const LayerDropout& dropout,
                                  LayerSaves& saves, const float* dy, LayerGradients& g, float* dmid, double* sums,
                                  float* scratch) const {
  const size_t h = spec_.hidden, f = spec_.intermediate;
  float *block = scratch, *small = block + std::min(rows.count, ops_.block_rows()) * f,
        *rest = small + std::min(rows.count, ops_.block_rows()) * h;
  for (size_t top = 0; top < rows.count; top += ops_.block_rows()) {
    const size_t height = std::min(ops_.block_rows(), rows.count - top), row = rows.first + top;
    const float *from = dy + row * h, *mid = saves.mid + row * h;
    float *down = g.down + row * h, *up = saves.up + row * f, *to = dmid + top * h, *normed = g.normed + row * h;
    if (post_norm())
      backward_.layer_norm_backward(height, h, saves.out + row * h, h, vector(kSecondGain), spec_.epsilon, from, h, to,
                                    h, sums + kSecondGain * h, sums + kSecondBias * h);
    else std::memcpy(to, from, height * h * sizeof(float));
    std::memcpy(down, to, height * h * sizeof(float));
    drop(batch, dropout.output, selected_only, row, height, down);
    backward_.activate(spec_.activation, height, f, up, f, g.acts + row * f, f);
    turned_product(kDown, height, down, h, block, f, rest);
    backward_.activate_backward(spec_.activation, height, f, up, f, block, f, up, f);
    turned_product(kUp, height, up, f, small, h, rest);
    const int norm = post_norm() ? kFirstGain : kSecondGain;
    ops_.layer_norm(height, h, mid, h, nullptr, 0, vector(norm), vector(norm + 1), spec_.epsilon, normed, h);
    if (post_norm()) {
      ops_.add(height, h, small, h, to, h);
      backward_.layer_norm_backward(height, h, mid, h, vector(norm), spec_.epsilon, to, h, to, h, sums + norm * h,
                                    sums + (norm + 1) * h);
    } else {
      backward_.layer_norm_backward(height, h, mid, h, vector(norm), spec_.epsilon, small, h, small, h, sums + norm * h,
                                    sums + (norm + 1) * h);
      ops_.add(height, h, small, h, to, h);
    }
    std::memcpy(g.projected + row * h, to, height * h * sizeof(float));
    drop(batch, dropout.projection, selected_only, row, height, g.projected + row * h);
  }
}

void TrainingLayer::backward(const Batch& batch, const TrainingTile& t, bool selected_only, const LayerDropout& dropout,
                             LayerSaves& saves, const float* dy, LayerGradients& g, float* dx, double* sums,
                             float* scratch) const {
  const size_t h = spec_.hidden, tokens = t.tile.tokens(), token = t.first_token;
  const Rows rows = rows_of(t, selected_only);
  float *dmid = scratch, *dcontext = dmid + tokens * h, *dn = dcontext + tokens * h, *single = dn + tokens * h,
        *rest = single + tokens * h;
  feed_backward(batch, rows, selected_only, dropout, saves, dy, g, dmid, sums, rest);
  turned_product(kProjection, rows.count, g.projected + rows.first * h, h, dcontext, h, rest);
  const float* k = saves.kv + token * 2 * h;
  float* dk = g.kv + token * 2 * h;
  backward_.attention_backward(t.tile.texts, t.tile.offsets.data(), spec_.heads, spec_.head_size(), !post_norm(),
                               selected_only ? t.tile.selected.data() : nullptr, saves.q + rows.first * h, h, k, k + h,
                               2 * h, dropout.attention, batch.text[t.first_text], dcontext, h, g.q + rows.first * h, h,
                               dk, dk + h, 2 * h, rest);
  const float* x = saves.x + token * h;
  const float* from = x;
  if (!post_norm()) {
    float* input = g.input + token * h;
    ops_.layer_norm(tokens, h, x, h, nullptr, 0, vector(kFirstGain), vector(kFirstBias), spec_.epsilon, input, h);
    from = input;
  }
  if (selected_only) ops_.gather(rows.count, h, from, h, t.tile.rows.data(), g.asking + rows.first * h, h);
  if (!dx && post_norm()) return;
  // the gradient of what the products read, then of x: the residual goes past a pre-norm
  float* to = dx ? dx + token * h : dn;
  turned_product(kKeyValue, tokens, dk, 2 * h, to, h, rest);
  turned_product(kQuery, rows.count, g.q + rows.first * h, h, single, h, rest);
  const auto add_rows = [&](const float* rows_from) {
    if (!selected_only) return ops_.add(tokens, h, rows_from, h, to, h);
    for (size_t r = 0; r < rows.count; r++) ops_.add(1, h, rows_from + r * h, h, to + t.tile.rows[r] * h, h);
  };
  add_rows(single);
  if (!post_norm())
    backward_.layer_norm_backward(tokens, h, x, h, vector(kFirstGain), spec_.epsilon, to, h, to, h,
                                  sums + kFirstGain * h, sums + kFirstBias * h);
  add_rows(dmid);
}

void TrainingLayer::weight_gradients(const Batch& batch, bool selected_only, const LayerSaves& saves,
                                     const LayerGradients& g, Threads& threads) {
  const size_t h = spec_.hidden, f = spec_.intermediate, tokens = batch.tokens(),
               rows = selected_only ? batch.texts() : tokens;
  const float* input = post_norm() ? saves.x : g.input;
  const Factor factors[] = {{g.q, selected_only ? g.asking : input, h, h, rows},
                            {g.kv, input, 2 * h, h, tokens},
                            {g.projected, saves.context, h, h, rows},
                            {saves.up, g.normed, f, h, rows},
                            {g.down, g.acts, h, f, rows}};
  struct Task {
    size_t linear, part, first, count;
  };
  std::vector<Task> tasks;
  for (size_t i = 0; i < plan_.linears.size(); i++) {
    const LinearPlan& linear = plan_.linears[i];
    const size_t range = linear.by_inputs ? linear.inputs : linear.part_outputs;
    for (size_t part = 0; part < linear.parts.size(); part++)
      if (parameters_.trainable(linear.parts[part].weight) || parameters_.trainable(linear.parts[part].bias))
        for (size_t first = 0; first < range; first += kRange)
          tasks.push_back({i, part, first, std::min(kRange, range - first)});
  }
  std::vector<Buffer<float>> scratch;
  for (int i = 0; i < threads.count(); i++) scratch.emplace_back(backward_.outer_scratch(kDepth, kRange));
  threads.parallel(tasks.size(), [&](size_t i, int worker) {
    const Task& task = tasks[i];
    part_gradient(task.linear, task.part, task.first, task.count, factors[task.linear], scratch[worker].data());
  });
}

// Rows [first, first + count) of the stored weight of one part; the bias goes with the rows that are its outputs, or,
// where rows are inputs, with the first task.
void TrainingLayer::part_gradient(size_t i, size_t part, size_t first, size_t count, const Factor& factor,
                                  float* scratch) {
  const LinearPlan& linear = plan_.linears[i];
  const LinearPlan::Part& names = linear.parts[part];
  const float* dy = factor.dy + part * linear.part_outputs;
  Parameter& weight = parameters_.at(names.weight);
  for (size_t top = 0; weight.trainable && top < factor.rows; top += kDepth) {
    const size_t depth = std::min(kDepth, factor.rows - top);
    const float *y = dy + top * factor.lddy, *x = factor.x + top * factor.ldx;
    if (linear.by_inputs)
      backward_.outer(depth, count, linear.part_outputs, x + first, factor.ldx, y, factor.lddy,
                      weight.gradient.data() + first * linear.stored_outputs + names.first, linear.stored_outputs,
                      scratch);
    else
      backward_.outer(depth, count, linear.inputs, y + first, factor.lddy, x, factor.ldx,
                      weight.gradient.data() + first * linear.inputs, linear.inputs, scratch);
  }
  Parameter& bias = parameters_.at(names.bias);
  if (!bias.trainable || (linear.by_inputs && first > 0)) return;
  const size_t begin = linear.by_inputs ? 0 : first, size = linear.by_inputs ? linear.part_outputs : count;
  std::vector<double> sums(size);
  backward_.add_rows(factor.rows, size, dy + begin, factor.lddy, sums.data());
  for (size_t j = 0; j < size; j++) bias.gradient[names.first + begin + j] += float(sums[j]);
}

void TrainingLayer::vector_gradients(const double* sums) {
  for (size_t i = 0; i < vectors_.size(); i++)
    for (size_t j = 0; vectors_[i]->trainable && j < spec_.hidden; j++)
      vectors_[i]->gradient[j] += float(sums[i * spec_.hidden + j]);
}

}  // namespace warp
