#include "generate/generate.h"

#include <algorithm>
#include <atomic>

#include "core/random.h"
#include "generate/model.h"

namespace warp {
namespace {

constexpr size_t kTileTokens = 288;  // as in cut_tiles

struct Made {
  std::vector<uint32_t> ids;  // start and made tokens
  std::vector<double> log_probability, base_log_probability;
  bool ended = false, done = false;
};

class Run {
 public:
  Run(const GenerateJob& job, const GeneratePlan& plan, Context& context)
      : job_(job), plan_(plan), context_(context), ops_(cpu_ops()), threads_(job.threads),
        runner_(job.program, ops_, cpu_step_ops(), plan.tile_tokens, job.longest(), job.threads), model_(job.program),
        base_(job.program), uniform_(job.seed, "generate"), made_(job.texts()) {
    for (size_t t = 0; t < job.texts(); t++)
      made_[t].ids.assign(job.ids.begin() + job.offsets[t], job.ids.begin() + job.offsets[t + 1]);
    for (int i = 0; i < job.threads; i++) samplers_.emplace_back(job.sample, job.program.outputs);
  }

  std::vector<Made> run() {
    model_.form(*job_.path, ops_, job_.point, threads_, context_);
    if (job_.contrastive) base_.form(*job_.path, ops_, -1, threads_, context_);
    make();
    if (job_.base && !job_.contrastive) score_base();
    return std::move(made_);
  }

 private:
  void make() {
    std::vector<TextCache> caches;
    for (int i = 0; i < (job_.contrastive ? 2 : 1); i++)
      caches.emplace_back(job_.program, plan_.at_once, job_.longest());
    std::vector<size_t> free, live, slot(made_.size());
    for (size_t s = plan_.at_once; s-- > 0;) free.push_back(s);
    size_t next = 0;
    while (next < made_.size() || !live.empty()) {
      std::vector<TokenTile> tiles;
      std::vector<std::vector<size_t>> texts;
      const size_t waiting = made_.size() - next;
      // starts wait until several can go together
      if (waiting > 0 && (live.empty() || free.size() * 8 >= plan_.at_once)) {
        for (size_t count = std::min(waiting, free.size()); count > 0; count--, next++) {
          slot[next] = free.back();
          free.pop_back();
          live.push_back(next);
          const std::vector<uint32_t>& ids = made_[next].ids;
          if (tiles.empty() || tiles.back().ids.size() + ids.size() > kTileTokens ||
              texts.back().size() == TileRunner::kRows) {
            tiles.emplace_back();
            texts.emplace_back();
          }
          tiles.back().add(ids.data(), ids.size(), 0, slot[next]);
          texts.back().push_back(next);
        }
        advance(tiles, texts, caches, false);
      } else {
        const size_t height = step_height(live.size());
        for (size_t i = 0; i < live.size(); i++) {
          if (i % height == 0) {
            tiles.emplace_back();
            texts.emplace_back();
          }
          const std::vector<uint32_t>& ids = made_[live[i]].ids;
          tiles.back().add(&ids.back(), 1, ids.size() - 1, slot[live[i]]);
          texts.back().push_back(live[i]);
        }
        advance(tiles, texts, caches, true);
      }
      std::vector<size_t> left;
      for (size_t text : live) {
        if (made_[text].done) free.push_back(slot[text]);
        else left.push_back(text);
      }
      live = std::move(left);
    }
  }

  // Rows of a tile of single tokens: about as many for each thread, few enough for a core's cache.
  size_t step_height(size_t rows) const {
    const size_t threads = size_t(job_.threads),
                 rounds = (rows + threads * TileRunner::kRows - 1) / (threads * TileRunner::kRows);
    return std::max<size_t>((rows + threads * rounds - 1) / (threads * rounds), 1);
  }

  void advance(const std::vector<TokenTile>& tiles, const std::vector<std::vector<size_t>>& texts,
               std::vector<TextCache>& caches, bool step) {
    threads_.parallel(tiles.size(), [&](size_t i, int worker) {
      const TokenTile& tile = tiles[i];
      const float* z = last_logits(model_, tile, &caches[0], step, 0, worker);
      const float* base = job_.contrastive ? last_logits(base_, tile, &caches[1], step, 1, worker) : nullptr;
      for (size_t t = 0; t < texts[i].size(); t++)
        choose(texts[i][t], z + t * job_.program.outputs, base ? base + t * job_.program.outputs : nullptr, worker);
      context_.progress(double(tokens_ += texts[i].size()), double(made_.size() * job_.new_tokens));
    });
  }

  const float* last_logits(const FormedModel& model, const TokenTile& tile, TextCache* cache, bool step, int which,
                           int worker) {
    const float* x = runner_.layers(model, tile, cache, step, worker, context_);
    return runner_.logits(model, x, tile.tile.rows, which, worker);
  }

  void choose(size_t text, const float* z, const float* base, int worker) {
    Made& made = made_[text];
    const auto b = uniform_.block(uint64_t(text) << 32 | made.ids.size());
    const double uniform = double((uint64_t(b[0]) << 21) ^ (b[1] >> 11)) * 0x1p-53;
    const Sampled s = samplers_[size_t(worker)].sample(z, base, uniform);
    made.ids.push_back(s.token);
    made.log_probability.push_back(s.log_probability);
    if (base) made.base_log_probability.push_back(s.base_log_probability);
    made.ended = std::find(job_.ends.begin(), job_.ends.end(), s.token) != job_.ends.end();
    made.done =
        made.ended || made.log_probability.size() == job_.new_tokens || made.ids.size() == job_.program.positions;
  }

  // The finished texts under the base, in the place of the model.
  void score_base() {
    model_.form(*job_.path, ops_, -1, threads_, context_);
    std::vector<TokenTile> tiles;
    std::vector<std::vector<size_t>> texts;
    for (size_t text = 0; text < made_.size(); text++) {
      const size_t count = made_[text].ids.size() - 1;  // the last one predicts nothing
      if (tiles.empty() || tiles.back().ids.size() + count > kTileTokens) {
        tiles.emplace_back();
        texts.emplace_back();
      }
      tiles.back().add(made_[text].ids.data(), count, 0, 0);
      texts.back().push_back(text);
    }
    threads_.parallel(tiles.size(), [&](size_t i, int worker) {
      const float* x = runner_.layers(model_, tiles[i], nullptr, false, worker, context_);
      std::vector<uint32_t> rows;
      std::vector<double*> to;
      std::vector<uint32_t> targets;
      const auto flush = [&] {
        const float* z = runner_.logits(model_, x, rows, 0, worker);
        for (size_t r = 0; r < rows.size(); r++, z += job_.program.outputs)
          *to[r] = double(z[targets[r]]) - log_sum(job_.program.outputs, z);
        rows.clear();
        to.clear();
        targets.clear();
      };
      for (size_t t = 0; t < texts[i].size(); t++) {
        Made& made = made_[texts[i][t]];
        const size_t start = job_.start_length(texts[i][t]);
        made.base_log_probability.resize(made.log_probability.size());
        for (size_t n = 0; n < made.log_probability.size(); n++) {
          rows.push_back(uint32_t(tiles[i].tile.offsets[t] + start + n - 1));
          to.push_back(&made.base_log_probability[n]);
          targets.push_back(made.ids[start + n]);
          if (rows.size() == TileRunner::kRows) flush();
        }
      }
      if (!rows.empty()) flush();
    });
  }

  const GenerateJob& job_;
  const GeneratePlan& plan_;
  Context& context_;
  const Ops& ops_;
  Threads threads_;
  TileRunner runner_;
  FormedModel model_, base_;
  const Random uniform_;
  std::vector<Sampler> samplers_;
  std::vector<Made> made_;
  std::atomic<size_t> tokens_{0};
};

}  // namespace

size_t GenerateJob::longest() const {
  size_t most = 0;
  for (size_t t = 0; t < texts(); t++) most = std::max(most, start_length(t));
  return std::min(most + new_tokens, program.positions);
}

void check_generate(const GenerateJob& job) {
  if (!job.program.language) throw internal_error("generate: no language model");
  if (job.offsets.size() < 2 || job.offsets[0] != 0 || job.offsets.back() != job.ids.size())
    throw internal_error("generate: arrays of different lengths");
  for (size_t t = 0; t < job.texts(); t++)
    if (job.offsets[t + 1] <= job.offsets[t] || job.start_length(t) >= job.program.positions)
      throw internal_error("generate: length of a start");
  for (uint32_t id : job.ids)
    if (id >= job.program.vocabulary) throw internal_error("generate: token id out of range");
  if (job.program.outputs > job.program.vocabulary || job.new_tokens == 0 || job.point < -1 ||
      job.point > job.path->points())
    throw internal_error("generate: sizes");
}

GeneratePlan plan_generate(const GenerateJob& job) {
  const Program& program = job.program;
  const Ops& ops = cpu_ops();
  const size_t longest = job.longest();
  const int models = job.contrastive ? 2 : 1;
  GeneratePlan plan;
  plan.tile_tokens = std::max(kTileTokens, longest);
  const uint64_t weights = uint64_t(models) * FormedModel::bytes(program, ops);
  const uint64_t workers = uint64_t(job.threads) * (TileRunner::bytes(program, ops, plan.tile_tokens, longest, models) +
                                                    Sampler::bytes(program.outputs));
  const uint64_t texts = job.texts() * (longest * 28 + 200);
  const uint64_t fixed = weights + workers + texts + HostRopes::bytes(program, longest);
  const uint64_t one = uint64_t(models) * TextCache::bytes(program, longest),
                 forming = FormedModel::forming_bytes(program, *job.path, job.threads);
  // what forming holds is gone before there are caches
  plan.smallest_bytes = fixed + std::max(one, forming);
  if (plan.smallest_bytes > job.memory)
    throw Error(Kind::kResource, "MEMORY_BUDGET",
                "this run needs at least " + std::to_string(plan.smallest_bytes) +
                    " bytes of working memory; the budget is " + std::to_string(job.memory) + " bytes",
                "--memory " + std::to_string((plan.smallest_bytes >> 20) + 1) + "MiB, or shorter texts");
  plan.at_once =
      std::min<uint64_t>(job.texts(), std::max<uint64_t>(1, (job.memory - fixed) / std::max<uint64_t>(1, one)));
  plan.peak_bytes = fixed + std::max(uint64_t(plan.at_once) * one, forming);
  return plan;
}

GenerateResult run_generate(const GenerateJob& job, Context& context) {
  GenerateResult out;
  out.plan = plan_generate(job);
  const std::vector<Made> made = Run(job, out.plan, context).run();
  out.offsets.push_back(0);
  for (size_t t = 0; t < made.size(); t++) {
    const auto append = [](auto& to, const auto& from, size_t first) {
      to.insert(to.end(), from.begin() + long(first), from.end());
    };
    append(out.ids, made[t].ids, job.start_length(t));
    append(out.log_probability, made[t].log_probability, 0);
    append(out.base_log_probability, made[t].base_log_probability, 0);
    out.offsets.push_back(uint32_t(out.ids.size()));
    out.ended.push_back(made[t].ended);
  }
  return out;
}

}  // namespace warp
