#include "scoring/pass.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/steps.h"

namespace warp {
namespace {

struct LayerFlows {
  Flow plain, derived;  // derived: not fused, for tangents
};

class Run {
 public:
  Run(const PassArguments& a, const ForwardPlan& plan, PassSink& sink, Threads& threads, Context& context)
      : a_(a), program_(a.program), sink_(sink), threads_(threads), context_(context), hidden_(a.program.hidden),
        points_(a.passes()), group_(plan.group),
        total_(double(plan.tokens) * double(a.program.layers.size()) * double(points_)),
        longest_(longest_text(a.texts)), ropes_(a.program, longest_), blocks_(pass_layers(a)) {
    const size_t tokens = largest_tile(a.tiles);
    const bool selected = !program_.every_row();
    embed_ = flows(program_.embed, {false, apart(program_), true});
    for (size_t i = 0; i < blocks_.size(); i++)
      layers_.push_back(flows(blocks_[i], {selected && i + 1 == blocks_.size(), false, true}));
    size_t slots = 0, rest = 0, tangents = 0;
    const auto fit = [&](const LayerFlows& f) {
      slots = std::max(slots, f.plain.slot_floats(a.ops, tokens));
      rest = std::max(rest, f.plain.rest_floats(a.ops, longest_, false));
      if (!a.scope) return;
      tangents = std::max(tangents, f.derived.slot_floats(a.ops, tokens));
      rest = std::max(rest, f.derived.rest_floats(a.ops, longest_, true));
    };
    fit(embed_);
    for (const LayerFlows& layer : layers_) fit(layer);
    for (int i = 0; i < threads.count(); i++) {
      slots_.emplace_back(std::max(slots, tangents));
      rest_.emplace_back(rest);
      tangents_.emplace_back(tangents);
      sums_.emplace_back(apart(program_) ? (a.scope ? 2 : 1) * tokens * program_.embedding : 0);
    }
    if (a.scope) a.scope->norm2.assign(size_t(a.path.points()), 0.0);
  }

  void run(const ForwardPlan& plan) {
    if (a_.scope) table_norms();
    size_t begin = 0;
    for (size_t end : plan.chunk_ends) {
      chunk(begin, end, begin == 0);
      begin = end;
    }
  }

 private:
  LayerFlows flows(const Block& block, FlowOptions options) const {
    LayerFlows f;
    f.plain = make_flow(block, options);
    options.fuse = false;
    if (a_.scope) f.derived = make_flow(block, options);
    return f;
  }

  bool on_path(int point) const { return point > 0 && point + 1 < points_; }

  void chunk(size_t begin, size_t end, bool first) {
    begin_ = begin;
    starts_.assign(1, 0);
    for (size_t i = begin; i < end; i++) starts_.push_back(starts_.back() + a_.tiles[i].tokens());
    rows_ = starts_.back();
    x_ = Buffer<float>();
    dx_ = Buffer<float>();
    x_ = Buffer<float>(size_t(group_) * rows_ * hidden_);
    if (a_.scope) dx_ = Buffer<float>(size_t(group_) * rows_ * hidden_);
    for (first_ = 0; first_ < points_; first_ += group_) group(end, first);
  }

  // Points [first_, last_) of a chunk.
  void group(size_t end, bool first) {
    last_ = std::min(points_, first_ + group_);
    moving_ = embed(end);
    for (size_t layer = 0; layer < layers_.size(); layer++) run_layer(layer, end, first);
    for (int p = first_; p < last_; p++) {
      sink_.begin(p, threads_, first);
      threads_.parallel(end - begin_, [&](size_t i, int worker) {
        context_.check();
        sink_.take(p, a_.tiles[begin_ + i], values(p, i), moving_ && on_path(p) ? tangents(p, i) : nullptr, worker);
      });
    }
  }

  size_t place(int point, size_t tile) const { return (size_t(point - first_) * rows_ + starts_[tile]) * hidden_; }
  float* values(int point, size_t tile) { return x_.data() + place(point, tile); }
  float* tangents(int point, size_t tile) { return dx_.data() + place(point, tile); }

  // A layer's weights at a point, and their direction where that is asked for.
  struct Formed {
    BlockPoint weights, direction;
  };

  void run_layer(size_t index, size_t end, bool first) {
    const BlockWeights& tensors = blocks_[index].weights;
    const WeightSource source(a_.path, tensors);
    const bool moves = a_.scope && WeightSource::in_scope(tensors, a_.scope->names),
               derive = a_.scope && (moving_ || moves);
    Formed formed[2];
    for (Formed& f : formed) {
      f.weights = source.allocate(a_.ops);
      if (moves) f.direction = source.allocate_direction(a_.ops, a_.scope->names);
    }
    StepTasks tasks;
    tasks.steps = size_t(last_ - first_);
    tasks.prepares = source.tasks();
    tasks.works = end - begin_;
    tasks.prepare = [&](size_t step, size_t task) {
      const int p = first_ + int(step);
      source.form_task(a_.ops, p - 1, task, formed[step % 2].weights);
      if (moves && on_path(p))
        source.form_direction_task(a_.ops, p - 1, a_.scope->names, task, formed[step % 2].direction);
    };
    tasks.prepared = [&](size_t step) {
      const int p = first_ + int(step);
      if (moves && on_path(p) && first) a_.scope->norm2[size_t(p - 1)] += norm2(formed[step % 2].direction);
    };
    tasks.work = [&](size_t step, size_t i, int worker) {
      const Formed& f = formed[step % 2];
      run_tile(index, first_ + int(step), i, worker, f.weights, derive ? &f.direction : nullptr, moves);
    };
    run_steps(threads_, tasks);
    moving_ = derive;
  }

  // `direction`: where derivatives are wanted, of no use unless the layer `moves`.
  void run_tile(size_t index, int p, size_t i, int worker, const BlockPoint& weights, const BlockPoint* direction,
                bool moves) {
    context_.check();
    const Tile& tile = a_.tiles[begin_ + i];
    const bool derive = direction && on_path(p);
    const RunArguments run{a_.ops,
                           derive ? layers_[index].derived : layers_[index].plain,
                           weights,
                           ropes_.tables(),
                           tile.view(),
                           values(p, i),
                           nullptr,
                           slots_[worker].data(),
                           rest_[worker].data()};
    if (derive)
      run_tangent(run, {moves ? direction : nullptr, moving_, tangents(p, i), nullptr, tangents_[worker].data()});
    else run_flow(run);
    if (sink_.watches()) sink_.watch(index, p, tile, values(p, i));
    context_.progress(add_done(double(tile.tokens())), total_);
  }

  double add_done(double tokens) {  // C++17 has no fetch_add for doubles
    double seen = done_.load();
    while (!done_.compare_exchange_weak(seen, seen + tokens)) {}
    return seen + tokens;
  }

  // Of embedding tables that no linear layer reads as well (a tied output layer is the head's to count).
  void table_norms() {
    std::vector<std::string> head = program_.head.weights.names();
    for (const TablePlan& table : program_.tables) {
      if (!a_.scope->names.count(table.tensor) || std::binary_search(head.begin(), head.end(), table.tensor)) continue;
      const PathTensor tensor = a_.path.load(table.tensor);
      constexpr size_t kStep = 1 << 16;
      const size_t steps = (tensor.elements() + kStep - 1) / kStep, count = a_.scope->norm2.size();
      std::vector<double> sums(steps * count);
      threads_.parallel(steps, [&](size_t task, int) {
        context_.check();
        const size_t from = task * kStep, take = std::min(kStep, tensor.elements() - from);
        std::vector<float> end(take), here(take);
        tensor.point(int(count), from, take, end.data());
        for (size_t k = 0; k < count; k++) {
          tensor.point(int(k), from, take, here.data());
          for (size_t i = 0; i < take; i++)
            sums[task * count + k] += double(end[i] - here[i]) * double(end[i] - here[i]);
        }
      });
      for (size_t task = 0; task < steps; task++)
        for (size_t k = 0; k < count; k++) a_.scope->norm2[k] += sums[task * count + k];
    }
  }

  struct FormedTables {
    std::vector<Buffer<float>> held;
    std::vector<const float*> data;
  };

  FormedTables form_tables(const std::vector<PathTensor>& tables, int k) {
    FormedTables formed;
    for (size_t t = 0; t < tables.size(); t++) {
      formed.held.push_back(form_rows(tables[t], k, program_.tables[t].factor));
      formed.data.push_back(formed.held.back().data());
    }
    return formed;
  }

  Buffer<float> form_rows(const PathTensor& tensor, int k, float factor) {
    constexpr size_t kStep = 1 << 16;
    Buffer<float> values(tensor.elements());
    threads_.parallel((tensor.elements() + kStep - 1) / kStep, [&](size_t task, int) {
      const size_t from = task * kStep, count = std::min(kStep, tensor.elements() - from);
      tensor.point(k, from, count, values.data() + from);
      for (size_t i = 0; factor != 1 && i < count; i++) values[from + i] *= factor;
    });
    return values;
  }

  // (θ* − θ_k)'s rows, zero for tables outside of the scope; spends `reference`.
  FormedTables table_directions(const std::vector<PathTensor>& tables, const FormedTables& point) {
    FormedTables formed = form_tables(tables, a_.path.points());
    for (size_t t = 0; t < tables.size(); t++) {
      Buffer<float>& values = formed.held[t];
      const bool inside = a_.scope->names.count(program_.tables[t].tensor) != 0;
      for (size_t i = 0; i < values.size(); i++) values[i] = inside ? values[i] - point.data[t][i] : 0.0f;
    }
    return formed;
  }

  // Embedding rows of the chunk's own tokens only; then the embedding's steps. Returns whether tangents are not zero.
  bool embed(size_t end) {
    const std::vector<TableRows> used = table_rows(program_, a_.texts, a_.tiles.data() + begin_, a_.tiles.data() + end);
    std::vector<PathTensor> tables;
    bool moving = false;
    for (size_t t = 0; t < used.size(); t++) {
      tables.push_back(a_.path.load_rows(program_.tables[t].tensor, used[t].rows));
      moving = moving || (a_.scope && a_.scope->names.count(program_.tables[t].tensor) != 0);
    }
    const BlockWeights& tensors = program_.embed.weights;
    const WeightSource source(a_.path, tensors);
    BlockPoint weights = source.allocate(a_.ops), direction;
    const bool moves = a_.scope && WeightSource::in_scope(tensors, a_.scope->names);
    if (moves) direction = source.allocate_direction(a_.ops, a_.scope->names);
    for (int p = first_; p < last_; p++) {
      const FormedTables formed = form_tables(tables, p - 1);
      source.form(a_.ops, threads_, p - 1, weights);
      const bool here = (moving || moves) && on_path(p);
      FormedTables change;
      if (here && moving) change = table_directions(tables, formed);
      if (here && moves) source.form_direction(a_.ops, threads_, p - 1, a_.scope->names, direction);
      if (here && moves && begin_ == 0) a_.scope->norm2[size_t(p - 1)] += norm2(direction);
      threads_.parallel(end - begin_, [&](size_t i, int worker) {
        context_.check();
        const Tile& tile = a_.tiles[begin_ + i];
        const RunArguments run = embedding(p, i, worker, here, weights);
        sum_tables(used, formed, i, run.input);
        if (!here) return run_flow(run);
        float* dx = apart(program_) ? run.input + tile.tokens() * program_.embedding : tangents(p, i);
        if (moving) sum_tables(used, change, i, dx);
        run_tangent(run, {moves ? &direction : nullptr, moving, dx, tangents(p, i), tangents_[worker].data()});
      });
    }
    return moving || moves;
  }

  // The sums of the tables go where the layers' input is, unless they have another width.
  RunArguments embedding(int p, size_t i, int worker, bool derive, const BlockPoint& weights) {
    float* input = apart(program_) ? sums_[worker].data() : values(p, i);
    return {a_.ops,
            derive ? embed_.derived : embed_.plain,
            weights,
            ropes_.tables(),
            a_.tiles[begin_ + i].view(),
            input,
            values(p, i),
            slots_[worker].data(),
            rest_[worker].data()};
  }

  void sum_tables(const std::vector<TableRows>& used, const FormedTables& formed, size_t tile, float* to) {
    std::vector<const uint32_t*> index;
    for (const TableRows& table : used) index.push_back(table.index.data() + starts_[tile]);
    a_.ops.embed(a_.tiles[begin_ + tile].tokens(), program_.embedding, used.size(), formed.data.data(), index.data(),
                 to, program_.embedding);
  }

  const PassArguments& a_;
  const Program& program_;
  PassSink& sink_;
  Threads& threads_;
  Context& context_;
  const size_t hidden_;
  const int points_, group_;
  const double total_;
  const size_t longest_;
  const HostRopes ropes_;
  const std::vector<Block> blocks_;
  LayerFlows embed_;
  std::vector<LayerFlows> layers_;
  size_t begin_ = 0, rows_ = 0;
  int first_ = 0, last_ = 0;  // the points at hand
  bool moving_ = false;  // whether the tangents are not zero here
  std::atomic<double> done_{0};
  std::vector<Buffer<float>> slots_, rest_, tangents_, sums_;
  std::vector<size_t> starts_;  // first row of each tile of the chunk
  Buffer<float> x_, dx_;
};

}  // namespace

double norm2(const BlockPoint& direction) {
  double sum = 0;
  for (const Buffer<float>& part : direction.held) {
    double lanes[8] = {};
    for (size_t i = 0; i < part.size(); i++) lanes[i % 8] += double(part[i]) * double(part[i]);
    for (double lane : lanes) sum += lane;
  }
  return sum;
}

std::vector<TableRows> table_rows(const Program& program, const PackedTexts& texts, const Tile* begin,
                                  const Tile* end) {
  const size_t first_text = begin->first_text, last_text = (end - 1)->first_text + (end - 1)->texts;
  const size_t first = texts.offsets[first_text], count = texts.offsets[last_text] - first;
  std::vector<TableRows> all;
  for (const TablePlan& table : program.tables) {
    std::vector<uint32_t> row(count, 0);
    for (size_t t = first_text; t < last_text; t++) {
      const uint32_t from = texts.offsets[t], length = texts.offsets[t + 1] - from;
      if (table.by == TableBy::kPosition)
        position_rows(table, texts.ids.data() + from, length, row.data() + (from - first));
    }
    for (size_t i = 0; i < count; i++) {
      if (table.by == TableBy::kToken) row[i] = texts.ids[first + i];
      if (table.by == TableBy::kType && !texts.types.empty()) row[i] = texts.types[first + i];
    }
    TableRows used;
    used.rows = row;
    std::sort(used.rows.begin(), used.rows.end());
    used.rows.erase(std::unique(used.rows.begin(), used.rows.end()), used.rows.end());
    for (uint32_t& r : row) r = uint32_t(std::lower_bound(used.rows.begin(), used.rows.end(), r) - used.rows.begin());
    used.index = std::move(row);
    all.push_back(std::move(used));
  }
  return all;
}

std::vector<double> scores_along(const std::vector<double>& slopes, const PassScope& scope, const Path& path) {
  const size_t points = scope.norm2.size();
  std::vector<double> scores(slopes.size());
  for (size_t k = 0; k < points; k++) {
    const double norm = std::sqrt(scope.norm2[k]);
    if (norm == 0) throw direction_zero(path.options().lambdas[k]);
    for (size_t at = k; at < slopes.size(); at += points) scores[at] = -slopes[at] / norm;
  }
  return scores;
}

Error direction_zero(double lambda) {
  return Error(Kind::kInput, "DIRECTION_ZERO",
               "at lambda = " + std::to_string(lambda) +
                   " the path has reached the reference in the scope: its direction is zero",
               "leave out lambda = 1, or choose a wider scope");
}

Error loss_not_finite(size_t i) {
  return Error(Kind::kInput, "LOSS_NOT_FINITE", "the loss of probe " + std::to_string(i) + " is not finite",
               "check the weights for NaN or infinity with `warp inspect`");
}

void run_pass(const PassArguments& arguments, const ForwardPlan& plan, PassSink& sink, Threads& threads,
              Context& context) {
  Run(arguments, plan, sink, threads, context).run(plan);
}

}  // namespace warp
