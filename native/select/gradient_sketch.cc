#include "select/gradient_sketch.h"

#include <algorithm>
#include <cmath>

#include "scoring/reverse.h"
#include "select/dots.h"
#include "select/sketch.h"

namespace warp {
namespace {

constexpr size_t kMostTokens = 4096;  // of one batch, where one text is not longer
constexpr size_t kRows = 64;          // of one product with the direction

// The count sketches of one linear layer: outputs by the stored tensors that they belong to, those with a bias apart.
class LayerBuckets {
 public:
  LayerBuckets(const LinearPlan& linear, const SketchShape& shape, uint64_t seed)
      : plan_(linear),
        right_(seed, "select sketch inputs " + linear.parts[0].weight, linear.inputs + 1, shape.columns) {
    for (const LinearPlan::Part& part : linear.parts)
      left_.emplace_back(seed, "select sketch outputs " + part.weight, part.first + part.rows, shape.rows);
  }
  // One row of the batch: dy ⊗ [x; 1], without the 1 where there is no bias.
  void add(const SketchShape& shape, const float* dy, const float* x, float* scratch, float* to) const {
    float *plain = scratch, *biased = plain + shape.rows, *right = biased + shape.rows;
    std::fill_n(scratch, 2 * shape.rows + shape.columns, 0.0f);
    bool any_plain = false, any_biased = false;
    for (size_t p = 0; p < plan_.parts.size(); dy += plan_.parts[p].rows, p++) {
      const LinearPlan::Part& part = plan_.parts[p];
      (part.bias.empty() ? any_plain : any_biased) = true;
      left_[p].add(dy, part.first, part.rows, part.bias.empty() ? plain : biased);
    }
    right_.add(x, 0, plan_.inputs, right);
    if (any_plain) add_outer(shape, plain, right, to);
    if (!any_biased) return;
    const float one = 1;
    right_.add(&one, plan_.inputs, 1, right);
    add_outer(shape, biased, right, to);
  }

 private:
  const LinearPlan& plan_;
  std::vector<Buckets> left_;
  Buckets right_;
};

std::vector<std::vector<LayerBuckets>> all_buckets(const Program& program, const SketchShape& shape, uint64_t seed) {
  std::vector<std::vector<LayerBuckets>> all;
  const auto add = [&](const Block& block) {
    all.emplace_back();
    for (const LinearPlan& linear : block.weights.linears) all.back().emplace_back(linear, shape, seed);
  };
  for (const Block& layer : program.layers) add(layer);
  add(program.language ? program.before_head : program.head);
  return all;
}

// Sketches of the linear layers' gradients, text by text.
class LayerSketches : public ReverseSink {
 public:
  LayerSketches(const SketchJob& job, const std::vector<std::vector<LayerBuckets>>& buckets, const SketchShape& shape)
      : job_(job), buckets_(buckets), shape_(shape) {}

  // where the batch's sketches go, and its number of texts; of the first `exact` of them, their products (or null)
  void start(std::vector<float*> to, size_t exact, double* products) {
    to_ = std::move(to);
    exact_ = exact;
    products_ = products;
  }

  void take(const ReverseBlock& block, Threads& threads) override {
    const BlockWeights& weights = block.graph.block().weights;
    for (size_t i = 0; i < weights.linears.size(); i++) {
      const Factor f = block.factor(i);
      std::vector<std::vector<uint32_t>> rows(to_.size());
      for (uint32_t row = 0; row < f.rows; row++) rows[block.text_of(f, row)].push_back(row);
      threads.parallel(to_.size(), [&](size_t text, int) {
        std::vector<float> scratch(2 * shape_.rows + shape_.columns);
        for (uint32_t row : rows[text])
          buckets_[block.number][i].add(shape_, f.dy + row * f.lddy, f.x + row * f.ldx, scratch.data(), to_[text]);
      });
      if (exact_ > 0) multiply(weights.linears[i], f, rows, threads);
    }
  }

 private:
  // products_ += Σ over pairs of rows of (dy · dy')(x · x'), + 1 for outputs with a bias
  void multiply(const LinearPlan& linear, const Factor& f, const std::vector<std::vector<uint32_t>>& rows,
                Threads& threads) {
    threads.parallel(exact_ * exact_, [&](size_t pair, int) {
      const size_t i = pair / exact_, j = pair % exact_;
      if (j > i) return;
      double sum = 0;
      for (uint32_t a : rows[i])
        for (uint32_t b : rows[j]) {
          const float *u = f.dy + a * f.lddy, *w = f.dy + b * f.lddy;
          double plain = 0, biased = 0;
          for (const LinearPlan::Part& part : linear.parts) {
            (part.bias.empty() ? plain : biased) += dot(u, w, part.rows);
            u += part.rows;
            w += part.rows;
          }
          const double inner = dot(f.x + a * f.ldx, f.x + b * f.ldx, linear.inputs);
          sum += (plain + biased) * inner + biased;
        }
      products_[i * exact_ + j] += sum;
      if (i != j) products_[j * exact_ + i] += sum;
    });
  }

  const SketchJob& job_;
  const std::vector<std::vector<LayerBuckets>>& buckets_;
  const SketchShape& shape_;
  std::vector<float*> to_;
  size_t exact_ = 0;
  double* products_ = nullptr;
};

// Of a language model's output layer: sketches of e ⊗ [h; 1], and e · (Δ h + δ).
class OutputSketches : public ReverseSink {
 public:
  OutputSketches(const SketchJob& job, const SketchShape& shape)
      : job_(job), shape_(shape), ops_(cpu_ops()), plan_(job.program.head_plan), v_(job.program.outputs),
        h_(job.program.features()), left_(job.seed, "select sketch outputs " + plan_.weight, v_, shape.rows),
        right_(job.seed, "select sketch inputs " + plan_.weight, h_ + 1, shape.columns) {}

  // The direction from point k on; its squared length.
  double aim(int k, Threads& threads) {
    const auto difference = [&](const std::string& name) {
      const PathTensor tensor = job_.path->load(name);
      Buffer<float> there = whole_point(tensor, job_.path->points());
      const Buffer<float> here = whole_point(tensor, k);
      for (size_t i = 0; i < there.size(); i++) there[i] -= here[i];
      return there;
    };
    const Buffer<float> weight = difference(plan_.weight);
    bias_ = plan_.bias.empty() ? Buffer<float>() : difference(plan_.bias);
    double norm2 = 0;
    for (float value : weight) norm2 += double(value) * double(value);
    for (float value : bias_) norm2 += double(value) * double(value);
    packed_ = Buffer<float>(ops_.packed_size(v_, h_));
    const size_t step = 64;
    threads.parallel((v_ + step - 1) / step, [&](size_t task, int) {
      const size_t first = task * step;
      ops_.pack_outputs(v_, h_, first, std::min(step, v_ - first), weight.data() + first * h_, h_, packed_.data());
    });
    return norm2;
  }

  // By text of the batch: its number in the job; where sketches go (null: losses alone) and what the others are added
  // to.
  void start(std::vector<float*> to, double* along, size_t along_step, double* loss, const uint32_t* number) {
    to_ = std::move(to);
    along_ = along;
    along_step_ = along_step;
    loss_ = loss;
    number_ = number;
  }

  void take(const ReverseBlock&, Threads&) override {}

  void outputs(const Outputs& o, Threads& threads) override {
    if (loss_)
      for (size_t r = 0; r < o.rows; r++) loss_[2 * number_[o.text[r]]] += o.loss[r];
    if (to_.empty()) return;
    std::vector<float> left(o.rows * shape_.rows), right(o.rows * shape_.columns);
    std::vector<double> dots(o.rows);
    threads.parallel((o.rows + kRows - 1) / kRows, [&](size_t task, int) {
      const size_t first = task * kRows, count = std::min(kRows, o.rows - first);
      Buffer<float> slopes(count * v_), rest(ops_.linear_scratch(h_));
      ops_.linear(count, v_, h_, o.x + first * h_, h_, packed_.data(), bias_.size() ? bias_.data() : nullptr,
                  Activation::kNone, slopes.data(), v_, rest.data());
      const float one = 1;
      for (size_t r = first; r < first + count; r++) {
        dots[r] = dot(o.e + r * v_, slopes.data() + (r - first) * v_, v_);
        left_.add(o.e + r * v_, 0, v_, left.data() + r * shape_.rows);
        right_.add(o.x + r * h_, 0, h_, right.data() + r * shape_.columns);
        if (!plan_.bias.empty()) right_.add(&one, h_, 1, right.data() + r * shape_.columns);
      }
    });
    for (size_t r = 0; r < o.rows; r++) along_[number_[o.text[r]] * along_step_] -= dots[r];
    threads.parallel(to_.size(), [&](size_t text, int) {
      for (size_t r = 0; r < o.rows; r++)
        if (o.text[r] == text)
          add_outer(shape_, left.data() + r * shape_.rows, right.data() + r * shape_.columns, to_[text]);
    });
  }

 private:
  const SketchJob& job_;
  const SketchShape& shape_;
  const Ops& ops_;
  const HeadPlan& plan_;
  const size_t v_, h_;
  const Buckets left_, right_;
  Buffer<float> packed_, bias_;
  std::vector<float*> to_;
  double *along_ = nullptr, *loss_ = nullptr;
  size_t along_step_ = 0;
  const uint32_t* number_ = nullptr;
};

class SketchRun {
 public:
  SketchRun(const SketchJob& job, Sketches& out, Context& context)
      : job_(job), out_(out), context_(context), threads_(job.threads), shape_(job.size), points_(job.points()),
        texts_(reverse_texts(job.texts, job.label)) {
    const size_t texts = texts_.texts();
    out_.rows.assign(texts * points_ * job.size, 0.0f);
    out_.norm2.assign(texts * points_, 0.0);
    if (job.outputs) out_.along.assign(texts * points_, 0.0);
    if (job.outputs) out_.loss.assign(texts * 2, 0.0);
    out_.exact.assign(points_ * job.exact * job.exact, 0.0);
  }

  void run() {
    const int first = job_.at_base ? -1 : 0, last = job_.path->points();
    if (job_.outputs) {
      OutputSketches sink(job_, shape_);
      for (int k = -1; k <= last; k++) outputs_at(k, first, sink);
    } else {
      const std::vector<std::vector<LayerBuckets>> buckets = all_buckets(job_.program, shape_, job_.seed);
      LayerSketches sink(job_, buckets, shape_);
      for (int k = first; k < last; k++) layers_at(k, size_t(k - first), sink);
    }
    for (size_t i = 0; i < out_.norm2.size(); i++) {
      const float* row = out_.rows.data() + i * job_.size;
      out_.norm2[i] = dot(row, row, job_.size);
    }
  }

 private:
  struct Chosen {
    std::vector<uint32_t> numbers;
    Batch batch;
  };
  // Whole texts, in their order.
  void each_batch(const std::function<void(const Chosen&)>& body) {
    for (uint32_t next = 0; next < texts_.texts();) {
      Chosen chosen;
      for (size_t tokens = 0; next < texts_.texts() && (chosen.numbers.empty() || tokens < kMostTokens); next++) {
        tokens += texts_.offsets[next + 1] - texts_.offsets[next];
        chosen.numbers.push_back(next);
      }
      chosen.batch = make_batch(job_.program, texts_, chosen.numbers.data(), chosen.numbers.size(), 0);
      body(chosen);
      const size_t passes = job_.outputs ? size_t(job_.path->points()) + 2 : points_;
      context_.progress(double(done_ += chosen.numbers.size()), double(passes * texts_.texts()));
    }
  }

  std::vector<float*> places(const Chosen& chosen, size_t point) {
    std::vector<float*> to;
    for (uint32_t text : chosen.numbers) to.push_back(out_.rows.data() + (text * points_ + point) * job_.size);
    return to;
  }

  void layers_at(int k, size_t point, LayerSketches& sink) {
    ReversePass pass({job_.program, *job_.path, k}, longest_text(job_.texts), threads_, context_);
    double* products = out_.exact.data() + point * job_.exact * job_.exact;
    each_batch([&](const Chosen& chosen) {
      if (chosen.numbers[0] == 0 && chosen.numbers.size() < job_.exact)
        throw internal_error("sketch: a sample larger than a batch");
      sink.start(places(chosen, point), chosen.numbers[0] == 0 ? job_.exact : 0, products);
      if (!std::isfinite(pass.run(chosen.batch, sink))) throw loss_not_finite(chosen.numbers[0]);
    });
  }

  void outputs_at(int k, int first, OutputSketches& sink) {
    const int last = job_.path->points();
    const bool wanted = k >= first && k < last;
    const size_t point = wanted ? size_t(k - first) : 0;
    double length = 1;
    if (wanted) length = std::sqrt(sink.aim(k, threads_));
    if (length == 0) throw direction_zero(k < 0 ? 0 : job_.path->options().lambdas[size_t(k)]);
    ReversePass pass({job_.program, *job_.path, k, job_.program.layers.size(), false}, longest_text(job_.texts),
                     threads_, context_);
    if (!wanted && k >= 0 && k < last) return;
    each_batch([&](const Chosen& chosen) {
      double* loss = k == -1 ? out_.loss.data() : k == last ? out_.loss.data() + 1 : nullptr;
      sink.start(wanted ? places(chosen, point) : std::vector<float*>{}, out_.along.data() + point, points_, loss,
                 chosen.numbers.data());
      if (!std::isfinite(pass.run(chosen.batch, sink))) throw loss_not_finite(chosen.numbers[0]);
    });
    for (size_t text = 0; wanted && text < texts_.texts(); text++) out_.along[text * points_ + point] /= length;
  }

  const SketchJob& job_;
  Sketches& out_;
  Context& context_;
  Threads threads_;
  const SketchShape shape_;
  const size_t points_;
  const TrainingTexts texts_;
  size_t done_ = 0;
};

}  // namespace

Sketches sketch_gradients(const SketchJob& job, Context& context) {
  const size_t tokens = std::min<size_t>(job.texts.ids.size(), kMostTokens + longest_text(job.texts));
  const Program& p = job.program;
  uint64_t planned = ReversePass::planned_bytes(p, *job.path, tokens, job.threads) +
                     job.texts.texts() * job.points() * job.size * sizeof(float);
  // the direction and what it is made of; rows of slopes
  if (job.outputs) planned += (3 * uint64_t(p.features()) + uint64_t(job.threads) * kRows) * p.outputs * sizeof(float);
  if (planned > job.memory) throw memory_budget(planned, job.memory);
  Sketches out;
  SketchRun(job, out, context).run();
  return out;
}

}  // namespace warp
