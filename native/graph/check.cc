// finish_program: what lib has promised, looked at once.
#include <algorithm>
#include <set>

#include "core/error.h"
#include "graph/program.h"

namespace warp {
namespace {

class Checker {
 public:
  Checker(const Program& program, const Block& block, std::string name)
      : program_(program), block_(block), name_(std::move(name)) {}

  void run() {
    if (block_.widths.empty() || block_.output >= block_.widths.size()) fail("no output");
    std::vector<bool> written(block_.widths.size(), false);
    written[0] = true;
    for (const Step& step : block_.steps) {
      for (const Operand& operand : {step.a, step.b, step.c}) {
        if (operand.width == 0) continue;
        if (operand.slot >= written.size() || !written[operand.slot]) fail("a slot is read before it is written");
        if (operand.at + operand.width > block_.widths[operand.slot]) fail("columns beyond a slot's");
      }
      if (step.to >= written.size() || written[step.to]) fail("a slot is written twice");
      written[step.to] = true;
      check(step);
    }
    if (!written[block_.output]) fail("the output is never written");
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw internal_error("network, " + name_ + ": " + what); }

  void check(const Step& s) const {
    const size_t to = block_.widths[s.to];
    const auto same = [&](const Operand& o) { return o.width == to; };
    switch (s.kind) {
      case StepKind::kLinear: return linear(block_.weights.linears.at(size_t(s.linear)), s.a.width, to);
      case StepKind::kNorm: {
        if (!same(s.a) || s.groups == 0 || to % s.groups != 0 || s.gain < 0) fail("a norm of other shapes");
        for (int v : {s.gain, s.bias})
          if (v >= 0 && block_.weights.vectors.at(size_t(v)).size != to / s.groups)
            fail("norm " + block_.weights.vectors[size_t(v)].name + " of another size");
        return;
      }
      case StepKind::kRope: {
        const bool fits =
            same(s.a) && s.head_size > 0 && to % s.head_size == 0 && s.rotary <= s.head_size && s.rotary % 2 == 0;
        if (!fits || size_t(s.rope) >= program_.ropes.size() || program_.ropes[size_t(s.rope)].rotary != s.rotary)
          fail("a rope of other shapes");
        return;
      }
      case StepKind::kAttention: {
        const size_t h = s.head_size;
        const bool fits = s.heads > 0 && s.kv_heads > 0 && s.heads % s.kv_heads == 0 && h > 0 &&
                          s.a.width == s.heads * h && s.b.width == s.kv_heads * h && s.c.width == s.kv_heads * h &&
                          to == s.heads * h;
        if (!fits) fail("attention of other shapes");
        if (block_.widths[s.b.slot] != block_.widths[s.c.slot]) fail("keys and values in slots of different widths");
        return;
      }
      case StepKind::kMultiply:
      case StepKind::kAdd:
        if (!same(s.a) || !same(s.b)) fail("operands of different widths");
        return;
      default:
        if (!same(s.a)) fail("operands of different widths");
    }
  }

  void linear(const LinearPlan& l, size_t inputs, size_t outputs) const {
    if (l.parts.empty() || l.inputs != inputs || l.outputs() != outputs) fail("a linear layer of other shapes");
    for (size_t i = 0; i < l.parts.size(); i++) {
      const LinearPlan::Part& part = l.parts[i];
      if (part.rows == 0) fail(part.weight + ": a part without rows");
      if (part.bias.empty() != l.parts[0].bias.empty()) fail(part.weight + ": some parts have a bias, some have none");
      if (!l.turned) continue;
      if (part.weight != l.parts[0].weight || (i > 0 && part.first != l.parts[i - 1].first + l.parts[i - 1].rows) ||
          part.first + part.rows > l.stored_outputs)
        fail("columns of " + part.weight + " are not next to each other");
    }
  }

  const Program& program_;
  const Block& block_;
  const std::string name_;
};

// The first `count` steps of a block, as a block of their own; the output is the last one's.
Block first_steps(const Block& block, size_t count) {
  Block part;
  part.widths = block.widths;
  part.weights = block.weights;
  part.steps.assign(block.steps.begin(), block.steps.begin() + std::ptrdiff_t(count));
  part.output = count == 0 ? 0 : part.steps.back().to;
  std::vector<LinearPlan> linears;
  std::vector<VectorPlan> vectors;
  for (Step& step : part.steps) {  // only what these read
    if (step.linear >= 0) {
      linears.push_back(block.weights.linears[size_t(step.linear)]);
      step.linear = int(linears.size()) - 1;
    }
    for (int* v : {&step.gain, &step.bias})
      if (*v >= 0) {
        vectors.push_back(block.weights.vectors[size_t(*v)]);
        *v = int(vectors.size()) - 1;
      }
  }
  part.weights = {std::move(linears), std::move(vectors)};
  return part;
}

// From the end: [linear, activate, drop…,] linear, each reading what the one before wrote.
void derive_head(Program& p) {
  const Block& head = p.head;
  const auto whole_linear = [&](const Step& step) {
    if (step.kind != StepKind::kLinear) return false;
    const LinearPlan& l = head.weights.linears[size_t(step.linear)];
    return l.parts.size() == 1 && !l.turned && l.parts[0].first == 0;
  };
  size_t at = head.steps.size();
  if (p.language && at > 1 && head.steps[at - 1].kind == StepKind::kSoftcap) p.logit_cap = head.steps[--at].softcap;
  if (at == 0 || !whole_linear(head.steps[at - 1]) || (p.logit_cap == 0 && head.steps[at - 1].to != head.output))
    throw internal_error("network, head: its last step is one linear layer");
  const LinearPlan& last = head.weights.linears[size_t(head.steps[at - 1].linear)];
  p.head_plan = {last.parts[0].weight, last.parts[0].bias, "", "", Activation::kNone};
  size_t before = --at;
  while (before > 0 && head.steps[before - 1].kind == StepKind::kDrop) before--;
  if (!p.language && before >= 2 && head.steps[before - 1].kind == StepKind::kActivate &&
      whole_linear(head.steps[before - 2]) &&
      !head.weights.linears[size_t(head.steps[before - 2].linear)].parts[0].bias.empty()) {
    const LinearPlan& dense = head.weights.linears[size_t(head.steps[before - 2].linear)];
    p.head_plan.dense = dense.parts[0].weight;
    p.head_plan.dense_bias = dense.parts[0].bias;
    p.head_plan.activation = head.steps[before - 1].activation;
    at = before - 2;
  }
  while (at > 0 && head.steps[at - 1].kind == StepKind::kDrop) at--;
  p.before_head = first_steps(head, at);
}

}  // namespace

void finish_program(Program& p) {
  if (p.layers.empty()) throw internal_error("network: no layers");
  p.token_table();
  if (p.embed.widths.empty() || p.embed.widths[0] != p.embedding || p.embed.output_width() != p.hidden)
    throw internal_error("network, embed: of other widths");
  Checker(p, p.embed, "embed").run();
  for (size_t i = 0; i < p.layers.size(); i++) {
    const Block& layer = p.layers[i];
    const std::string name = "layer " + std::to_string(i);
    Checker(p, layer, name).run();
    if (layer.widths[0] != p.hidden || layer.output_width() != p.hidden)
      throw internal_error("network, " + name + ": of another width");
    if (layer.output == 0) throw internal_error("network, " + name + ": nothing is done");
  }
  for (const Block* block : {&p.embed, &p.head})
    for (const Step& step : block->steps)
      if (step.kind == StepKind::kAttention || step.kind == StepKind::kRope)
        throw internal_error("network: attention outside of a layer");
  if (p.head.widths.empty() || p.head.widths[0] != p.hidden) throw internal_error("network, head: of another width");
  Checker(p, p.head, "head").run();
  p.outputs = p.head.output_width();
  derive_head(p);
}

std::vector<std::string> BlockWeights::names() const {
  std::set<std::string> all;
  for (const LinearPlan& linear : linears)
    for (const LinearPlan::Part& part : linear.parts) {
      all.insert(part.weight);
      if (!part.bias.empty()) all.insert(part.bias);
    }
  for (const VectorPlan& vector : vectors) all.insert(vector.name);
  return {all.begin(), all.end()};
}

const std::string& Program::token_table() const {
  for (const TablePlan& table : tables)
    if (table.by == TableBy::kToken) return table.tensor;
  throw internal_error("network: no table of tokens");
}

size_t Program::widest_linear() const {
  size_t widest = hidden;
  const auto look = [&](const Block& block) {
    for (const LinearPlan& linear : block.weights.linears) widest = std::max({widest, linear.inputs, linear.outputs()});
  };
  look(embed);
  for (const Block& layer : layers) look(layer);
  return widest;
}

uint32_t selected_position(const Program& program, const uint32_t* ids, uint32_t length) {
  if (program.select != Select::kLast) return 0;
  for (uint32_t i = length; i > 0; i--)
    if (program.pad < 0 || int64_t(ids[i - 1]) != program.pad) return i - 1;
  return 0;
}

void position_rows(const TablePlan& table, const uint32_t* ids, uint32_t length, uint32_t* rows) {
  uint32_t seen = 0;
  for (uint32_t i = 0; i < length; i++) {
    if (table.padding < 0) rows[i] = i;
    else rows[i] = int64_t(ids[i]) == table.padding ? uint32_t(table.padding) : uint32_t(table.padding) + ++seen;
  }
}

double block_flops(const Block& block, bool selected, size_t texts, const uint32_t* offsets) {
  // slots that only the selected rows need, from the end
  const double tokens = double(offsets[texts] - offsets[0]);
  std::vector<bool> all(block.widths.size(), false), wanted(block.widths.size(), false);
  wanted[block.output] = true;
  all[block.output] = !selected;
  double flops = 0;
  for (size_t i = block.steps.size(); i-- > 0;) {
    const Step& s = block.steps[i];
    if (!wanted[s.to]) continue;
    const bool every = all[s.to];
    for (const Operand& o : {s.a, s.b, s.c}) {
      if (o.width == 0) continue;
      wanted[o.slot] = true;
      if (every || (s.kind == StepKind::kAttention && o.slot != s.a.slot)) all[o.slot] = true;
    }
    if (s.kind == StepKind::kLinear)
      flops += 2 * (every ? tokens : double(texts)) * double(block.widths[s.to]) * double(s.a.width);
    if (s.kind != StepKind::kAttention) continue;
    for (size_t t = 0; t < texts; t++) {
      const double length = double(offsets[t + 1] - offsets[t]);
      flops += 4 * length * (every ? length : 1) * double(s.heads * s.head_size);
    }
  }
  return flops;
}

}  // namespace warp
