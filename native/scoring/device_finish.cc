#include "scoring/device_finish.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace warp {
namespace {

constexpr FlowOptions kPlain = {false, true, true};  // of a head: every row, to a place of its own
constexpr size_t kMostRows = 4096;                   // of logits

template <class T>
T* uploaded(const DevicePass& pass, const std::vector<T>& values, T* to) {
  pass.backend.upload(to, values.data(), values.size() * sizeof(T), cuda::Queue::kCompute);
  return to;
}

// Nothing runs far ahead of an abort.
void settle(const DevicePass& pass, Context& context) {
  pass.backend.mark(0, cuda::Queue::kCompute);
  pass.backend.wait(0);
  context.check();
}

// Rows that stand alone.
TileView alone(size_t rows) { return {rows, rows, nullptr, nullptr, nullptr, nullptr}; }

// Losses of some rows, and their slopes.
struct Sums {
  double *loss, *slope = nullptr;
  Sums(DeviceRoom& room, const DevicePass& pass, size_t rows) : loss(room.take<double>(rows)) {
    if (pass.names) slope = room.take<double>(rows);
  }
  static std::vector<double> get(const DevicePass& pass, const double* from, size_t rows) {
    std::vector<double> values(rows);
    pass.backend.download(values.data(), from, rows * sizeof(double), cuda::Queue::kCompute);
    return values;
  }
};

size_t most_texts(const std::vector<Tile>& tiles) {
  size_t most = 0;
  for (const Tile& tile : tiles) most = std::max(most, tile.texts);
  return most;
}

// The block before a classifier's closed forms, and with names the whole head as well.
struct Classify {
  char* before_stage;
  DeviceBlock before;
  char* stage = nullptr;
  std::optional<DeviceBlock> head;
  float *logits = nullptr, *changes = nullptr;
  uint32_t* label = nullptr;
  std::optional<Sums> sums;
  float *x = nullptr, *dx = nullptr;  // means of rows, and their tangents, where the head reads these

  Classify(DeviceRoom& room, const DevicePass& pass, const std::vector<Tile>& tiles, size_t texts)
      : before_stage(room.take<char>(stage_bytes(pass.path, pass.program.before_head.weights.names()))),
        before(room, pass, pass.program.before_head, kPlain, most_texts(tiles), nullptr) {
    const size_t most = most_texts(tiles);
    const bool means = pass.program.select == Select::kMean;
    if (means) x = room.take<float>(most * pass.program.hidden);
    if (!pass.names) return;
    if (means) dx = room.take<float>(most * pass.program.hidden);
    stage = room.take<char>(stage_bytes(pass.path, pass.program.head.weights.names()));
    head.emplace(room, pass, pass.program.head, kPlain, most, pass.names);
    logits = room.take<float>(most * pass.program.outputs);
    changes = room.take<float>(most * pass.program.outputs);
    label = room.take<uint32_t>(texts);
    sums.emplace(room, pass, texts);
  }
};

struct Language {
  char* stage;
  size_t block;
  DeviceBlock head;
  float *rows, *logits, *changes = nullptr, *slopes = nullptr;
  uint32_t *index, *target;
  Sums sums;

  Language(DeviceRoom& room, const DevicePass& pass, const std::vector<Tile>& tiles, size_t tokens)
      : stage(room.take<char>(stage_bytes(pass.path, pass.program.head.weights.names()))),
        block(
            std::min({kMostRows, std::max<size_t>(1, pass.logit_floats / pass.program.outputs), largest_tile(tiles)})),
        head(room, pass, pass.program.head, kPlain, block, pass.names),
        rows(room.take<float>(block * pass.program.hidden)), logits(room.take<float>(block * pass.program.outputs)),
        index(room.take<uint32_t>(tokens)), target(room.take<uint32_t>(tokens)), sums(room, pass, tokens) {
    if (!pass.names) return;
    changes = room.take<float>(block * pass.program.hidden);
    slopes = room.take<float>(block * pass.program.outputs);
  }
};

// The rows of a chunk that have targets, tile by tile.
struct Targets {
  std::vector<uint32_t> row, target, text;  // the row in its tile, its text among all
  std::vector<size_t> first = {0};          // of each tile, and one behind
  std::vector<size_t> token;

  Targets(const DevicePass& pass, const DeviceChunk& chunk) {
    for (size_t i = chunk.begin; i < chunk.end; i++) {
      const Tile& tile = chunk.tiles[i];
      const size_t begin = pass.texts.offsets[tile.first_text];
      for (size_t t = 0; t < tile.texts; t++)
        for (uint32_t r = tile.offsets[t]; r < tile.offsets[t + 1]; r++) {
          if (pass.texts.targets[begin + r] == kNoTarget) continue;
          row.push_back(r);
          target.push_back(pass.texts.targets[begin + r]);
          text.push_back(uint32_t(tile.first_text + t));
          token.push_back(begin + r);
        }
      first.push_back(row.size());
    }
  }
};

// Losses (and slopes) of a tile's targets at a point, queued block by block.
void queue_tile(const DevicePass& pass, const DeviceChunk& chunk, Language& at, const Targets& targets, int p,
                size_t tile, bool derive) {
  const size_t h = pass.program.hidden, v = pass.program.outputs, end = targets.first[tile + 1];
  const Ops& ops = pass.backend.ops();
  const bool moving = derive && chunk.moving;
  for (size_t from = targets.first[tile]; from < end; from += at.block) {
    const size_t count = std::min(at.block, end - from);
    ops.gather(count, h, chunk.values(p, tile), h, at.index + from, at.rows, h);
    if (moving) ops.gather(count, h, chunk.tangents(p, tile), h, at.index + from, at.changes, h);
    const DeviceRows rows{at.rows, at.logits, at.changes, at.slopes, moving};
    if (derive) at.head.derive(alone(count), {}, rows);
    else at.head.run(alone(count), {}, rows);
    pass.backend.language_loss(count, v, {at.logits, v}, {derive ? at.slopes : nullptr, v}, at.target + from,
                               at.sums.loss + from, derive ? at.sums.slope + from : nullptr);
  }
}

void add_losses(const DevicePass& pass, const Targets& targets, const std::vector<double>& loss, int p,
                DeviceResults& out) {
  const size_t passes = size_t(pass.passes());
  for (size_t i = 0; i < loss.size(); i++) {
    if (!std::isfinite(loss[i])) throw loss_not_finite(targets.text[i]);
    out.loss[targets.text[i] * passes + size_t(p)] += loss[i];
    if (p == 0) out.token_loss[targets.token[i] * 2] = loss[i];
    if (size_t(p) + 1 == passes) out.token_loss[targets.token[i] * 2 + 1] = loss[i];
  }
}

}  // namespace

uint64_t finish_bytes(const DevicePass& pass, const std::vector<Tile>& tiles, size_t tokens) {
  DeviceRoom room;
  if (pass.program.language) Language counted(room, pass, tiles, tokens);
  else Classify counted(room, pass, tiles, tokens);  // a text has a token at least
  return room.most();
}

void finish_language(const DevicePass& pass, const DeviceChunk& chunk, DeviceRoom room, DeviceResults& out,
                     Context& context) {
  Language at(room, pass, chunk.tiles, chunk.rows());
  const Targets targets(pass, chunk);
  const DeviceStage stage = staged(pass, pass.program.head.weights, at.stage);
  uploaded(pass, targets.row, at.index);
  uploaded(pass, targets.target, at.target);
  const size_t points = size_t(pass.path.points()), count = targets.row.size();
  for (int p = 0; p < pass.passes(); p++) {
    at.head.weights.form(stage, p - 1, chunk.first);
    const bool derive = pass.names && pass.on_path(p) && (chunk.moving || at.head.weights.moves());
    for (size_t i = 0; i < chunk.views.size(); i++) {
      queue_tile(pass, chunk, at, targets, p, i, derive);
      settle(pass, context);
    }
    add_losses(pass, targets, Sums::get(pass, at.sums.loss, count), p, out);
    if (!derive) continue;
    const std::vector<double> slope = Sums::get(pass, at.sums.slope, count);
    for (size_t i = 0; i < count; i++) out.slope[targets.text[i] * points + size_t(p - 1)] += slope[i];
  }
  if (chunk.first) at.head.weights.add_norms(out.norm2);
}

// The selected rows, which the last layer left at the front of each tile, or the means become the head inputs.
void finish_classify(const DevicePass& pass, const DeviceChunk& chunk, DeviceRoom room, float* features,
                     DeviceResults& out, Context& context) {
  const Program& program = pass.program;
  const size_t all = pass.texts.texts(), first = chunk.tiles[chunk.begin].first_text, classes = program.outputs,
               h = program.hidden,
               texts = chunk.tiles[chunk.end - 1].first_text + chunk.tiles[chunk.end - 1].texts - first;
  Classify at(room, pass, chunk.tiles, texts);
  const DeviceStage before = staged(pass, program.before_head.weights, at.before_stage);
  std::optional<DeviceStage> stage;
  if (at.head) {
    stage.emplace(staged(pass, program.head.weights, at.stage));
    const std::vector<int32_t>& label = *pass.label;
    uploaded(pass, std::vector<uint32_t>(label.begin() + long(first), label.begin() + long(first + texts)), at.label);
  }
  for (int p = 0; p < pass.passes(); p++) {
    context.check();
    at.before.weights.form(before, p - 1, false);
    if (at.head) at.head->weights.form(*stage, p - 1, chunk.first);
    const bool derive = at.head && pass.on_path(p) && (chunk.moving || at.head->weights.moves());
    for (size_t i = 0; i < chunk.views.size(); i++) {
      TileView view = chunk.views[i];
      view.tokens = view.texts;  // one row a text
      const size_t begin = chunk.tiles[chunk.begin + i].first_text;
      const auto head_rows = [&](float* rows, float* means) {
        if (!rows || !means) return rows;
        pass.backend.mean_rows(view.texts, view.offsets, h, {rows, h}, {means, h});
        return means;
      };
      float* x = head_rows(chunk.values(p, i), at.x);
      float* dx = head_rows(derive && chunk.moving ? chunk.tangents(p, i) : nullptr, at.dx);
      at.before.run(view, {}, {x, features + (size_t(p) * all + begin) * program.features()});
      if (!derive) continue;
      at.head->derive(view, {}, {x, at.logits, dx, at.changes, chunk.moving});
      pass.backend.language_loss(view.texts, classes, {at.logits, classes}, {at.changes, classes},
                                 at.label + (begin - first), at.sums->loss + (begin - first),
                                 at.sums->slope + (begin - first));
    }
    if (!derive) continue;
    const std::vector<double> slope = Sums::get(pass, at.sums->slope, texts);
    for (size_t i = 0; i < texts; i++) out.slope[(first + i) * size_t(pass.path.points()) + size_t(p - 1)] = slope[i];
  }
  if (at.head && chunk.first) at.head->weights.add_norms(out.norm2);
}

}  // namespace warp
