#include "generate/model.h"

#include <algorithm>
#include <numeric>

namespace warp {
namespace {

std::vector<const Block*> blocks_of(const Program& program) {
  std::vector<const Block*> all = {&program.embed};
  for (const Block& layer : program.layers) all.push_back(&layer);
  all.push_back(&program.head);
  return all;
}

// Width of the keys, and of the values, that a layer keeps.
size_t kept_width(const Block& layer) {
  size_t width = 0;
  for (const Step& step : layer.steps) {
    if (step.kind != StepKind::kAttention) continue;
    if (width > 0 || !step.causal) throw internal_error("generate: a layer of one causal attention is expected");
    width = step.kv_heads * step.head_size;
  }
  return width;
}

// Σ of 2 · kept_width over the layers before each, and over all.
std::vector<size_t> starts_of(const Program& program) {
  std::vector<size_t> starts = {0};
  for (const Block& layer : program.layers) starts.push_back(starts.back() + kept_width(layer));
  return starts;
}

}  // namespace

void FormedModel::form(const Path& path, const Ops& ops, int k, Threads& threads, Context& context) {
  tables_.clear();
  for (const TablePlan& table : program_.tables) {
    const PathTensor tensor = path.load(table.tensor);
    constexpr size_t kStep = 1 << 16;
    Buffer<float> values(tensor.elements());
    threads.parallel((tensor.elements() + kStep - 1) / kStep, [&](size_t task, int) {
      context.check();
      const size_t from = task * kStep, count = std::min(kStep, tensor.elements() - from);
      tensor.point(k, from, count, values.data() + from);
      for (size_t i = 0; table.factor != 1 && i < count; i++) values[from + i] *= table.factor;
    });
    tables_.push_back(std::move(values));
  }
  const std::vector<const Block*> blocks = blocks_of(program_);
  const bool fresh = blocks_.empty();
  for (size_t i = 0; i < blocks.size(); i++) {
    context.check();
    const WeightSource source(path, blocks[i]->weights);
    if (fresh) blocks_.push_back(source.allocate(ops));
    source.form(ops, threads, k, blocks_[i]);
  }
}

uint64_t FormedModel::bytes(const Program& program, const Ops& ops) {
  uint64_t bytes = 0;
  for (const TablePlan& table : program.tables) bytes += table.rows * program.embedding * sizeof(float);
  for (const Block* block : blocks_of(program)) bytes += WeightSource::point_bytes(ops, block->weights);
  return bytes;
}

uint64_t FormedModel::forming_bytes(const Program& program, const Path& path, int threads) {
  uint64_t most = 0;
  for (const TablePlan& table : program.tables) most = std::max(most, path.load_bytes(table.tensor));
  for (const Block* block : blocks_of(program)) most = std::max(most, WeightSource::stored_bytes(path, block->weights));
  return most + uint64_t(threads) * 64 * program.widest_linear() * sizeof(float);
}

TextCache::TextCache(const Program& program, size_t slots, size_t length)
    : slots_(slots), length_(length), starts_(starts_of(program)), data_(2 * length * slots * starts_.back()) {
  for (const Block& layer : program.layers) widths_.push_back(kept_width(layer));
}

uint64_t TextCache::bytes(const Program& program, size_t length) {
  return 2 * length * starts_of(program).back() * sizeof(float);
}

void TokenTile::add(const uint32_t* tokens, size_t count, size_t position, size_t slot) {
  if (tile.offsets.empty()) tile.offsets.push_back(0);
  tile.texts++;
  ids.insert(ids.end(), tokens, tokens + count);
  slots.push_back(slot);
  for (size_t i = 0; i < count; i++) tile.positions.push_back(uint32_t(position + i));
  tile.selected.push_back(uint32_t(position + count - 1));
  tile.rows.push_back(uint32_t(tile.offsets.back() + count - 1));
  tile.offsets.push_back(uint32_t(tile.offsets.back() + count));
}

std::vector<Flow> TileRunner::make_flows(const Program& program) {
  std::vector<Flow> flows = {make_flow(program.embed, {false, program.embedding != program.hidden, true})};
  for (const Block& layer : program.layers) flows.push_back(make_flow(layer, {false, false, true}));
  flows.push_back(make_flow(program.head, {false, true, true}));
  return flows;
}

TileRunner::Sizes TileRunner::sizes(const std::vector<Flow>& flows, const Ops& ops, size_t tokens, size_t longest) {
  Sizes s;
  for (const Flow& flow : flows) {
    s.slots = std::max(s.slots, flow.slot_floats(ops, std::max(tokens, kRows)));
    s.rest = std::max(s.rest, flow.rest_floats(ops, longest, false));
  }
  return s;
}

TileRunner::TileRunner(const Program& program, const Ops& ops, const StepOps& step_ops, size_t tokens, size_t longest,
                       int workers)
    : program_(program), ops_(ops), step_ops_(step_ops), tokens_(tokens), flows_(make_flows(program)),
      ropes_(program, longest) {
  const Sizes s = sizes(flows_, ops, tokens, longest);
  for (int i = 0; i < workers; i++) {
    Worker w;
    w.x = Buffer<float>(tokens * program.hidden);
    if (program.embedding != program.hidden) w.sums = Buffer<float>(tokens * program.embedding);
    w.rows = Buffer<float>(kRows * program.hidden);
    w.slots = Buffer<float>(s.slots);
    w.rest = Buffer<float>(s.rest);
    workers_.push_back(std::move(w));
  }
}

uint64_t TileRunner::bytes(const Program& program, const Ops& ops, size_t tokens, size_t longest, int models) {
  const Sizes s = sizes(make_flows(program), ops, tokens, longest);
  const uint64_t sums = program.embedding != program.hidden ? tokens * program.embedding : 0;
  return (tokens * program.hidden + sums + kRows * (program.hidden + uint64_t(models) * program.outputs) + s.slots +
          s.rest) *
         sizeof(float);
}

void TileRunner::embed(const FormedModel& model, const TokenTile& tile, Worker& w) {
  const std::vector<uint32_t> zeros(tile.ids.size(), 0);
  std::vector<const float*> tables;
  std::vector<const uint32_t*> rows;
  for (size_t i = 0; i < program_.tables.size(); i++) {
    const TablePlan& table = program_.tables[i];
    if (table.by == TableBy::kPosition && table.padding >= 0) throw internal_error("generate: positions by padding");
    tables.push_back(model.table(i));
    rows.push_back(table.by == TableBy::kToken      ? tile.ids.data()
                   : table.by == TableBy::kPosition ? tile.tile.positions.data()
                                                    : zeros.data());
  }
  float* input = w.sums.size() > 0 ? w.sums.data() : w.x.data();
  ops_.embed(tile.ids.size(), program_.embedding, tables.size(), tables.data(), rows.data(), input, program_.embedding);
  run_flow({ops_, flows_.front(), model.embed(), ropes_.tables(), tile.tile.view(), input, w.x.data(), w.slots.data(),
            w.rest.data()});
}

const float* TileRunner::layers(const FormedModel& model, const TokenTile& tile, TextCache* cache, bool step,
                                int worker, Context& context) {
  Worker& w = workers_[size_t(worker)];
  if (tile.ids.size() > tokens_) throw internal_error("generate: a tile of too many tokens");
  embed(model, tile, w);
  std::vector<float*> keys(tile.slots.size()), values(tile.slots.size());
  for (size_t layer = 0; layer < program_.layers.size(); layer++) {
    context.check();
    for (size_t t = 0; cache && t < tile.slots.size(); t++) {
      keys[t] = cache->keys(layer, tile.slots[t]);
      values[t] = cache->values(layer, tile.slots[t]);
    }
    const CacheView view{step_ops_, keys.data(), values.data(), cache ? cache->width(layer) : 0, step};
    run_flow({ops_, flows_[1 + layer], model.layer(layer), ropes_.tables(), tile.tile.view(), w.x.data(), nullptr,
              w.slots.data(), w.rest.data(), nullptr, cache ? &view : nullptr});
  }
  return w.x.data();
}

const float* TileRunner::logits(const FormedModel& model, const float* x, const std::vector<uint32_t>& rows, int which,
                                int worker) {
  Worker& w = workers_[size_t(worker)];
  Buffer<float>& to = w.logits[which];
  if (rows.size() > kRows) throw internal_error("generate: too many rows of logits");
  if (to.size() == 0) to = Buffer<float>(kRows * program_.outputs);
  ops_.gather(rows.size(), program_.hidden, x, program_.hidden, rows.data(), w.rows.data(), program_.hidden);
  run_flow({ops_, flows_.back(), model.head(), ropes_.tables(), RowTile(rows.size()).view(), w.rows.data(), to.data(),
            w.slots.data(), w.rest.data()});
  return to.data();
}

}  // namespace warp
