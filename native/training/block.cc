#include "training/block.h"

#include <algorithm>
#include <cstring>

namespace warp {
namespace {

constexpr size_t kPackStep = 64;  // a multiple of every backend's panel
constexpr size_t kRange = 96;     // rows of a weight whose gradient is one task
constexpr size_t kDepth = 512;    // tokens of one product of a weight's gradient

}  // namespace

TrainedBlock::TrainedBlock(const Block& block, bool selected, Parameters& parameters, const Ops& ops,
                           const BackwardOps& backward)
    : block_(block), selected_(selected), parameters_(parameters), ops_(ops), backward_(backward),
      graph_(block, selected, ops, backward) {
  const auto hold = [&](size_t count) {
    point_.held.emplace_back(count);
    return point_.held.back().data();
  };
  for (const LinearPlan& linear : block.weights.linears) {
    const size_t outputs = linear.outputs();
    point_.packed.push_back(
        hold(std::max(ops.packed_size(outputs, linear.inputs), ops.packed_size(linear.inputs, outputs))));
    point_.bias.push_back(linear.parts[0].bias.empty() ? nullptr : hold(outputs));
  }
  for (const VectorPlan& vector : block.weights.vectors)
    point_.vectors.push_back(parameters.at(vector.name).value.data());
}

bool TrainedBlock::trainable() const {
  const std::vector<std::string> names = block_.weights.names();
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return parameters_.trainable(name); });
}

void TrainedBlock::pack(Threads& threads, bool turned) {
  std::vector<std::pair<size_t, size_t>> tasks;  // linear layer, first row
  for (size_t i = 0; i < block_.weights.linears.size(); i++) {
    const LinearPlan& linear = block_.weights.linears[i];
    const size_t rows = linear.turned ? linear.inputs : linear.outputs();
    for (size_t first = 0; first < rows; first += kPackStep) tasks.push_back({i, first});
    float* bias = point_.bias[i];
    for (const LinearPlan::Part& part : linear.parts) {
      if (turned || !bias) break;
      std::memcpy(bias, parameters_.value(part.bias) + part.first, part.rows * sizeof(float));
      bias += part.rows;
    }
  }
  threads.parallel(tasks.size(), [&](size_t task, int) {
    const auto [i, first] = tasks[task];
    const LinearPlan& linear = block_.weights.linears[i];
    pack_part(i, first, std::min(kPackStep, (linear.turned ? linear.inputs : linear.outputs()) - first), turned);
  });
}

void TrainedBlock::pack_part(size_t i, size_t first, size_t count, bool turned) {
  const LinearPlan& linear = block_.weights.linears[i];
  const size_t outputs = linear.outputs(), inputs = linear.inputs;
  float* packed = point_.packed[i];
  if (linear.turned) {
    const size_t ld = linear.stored_outputs;
    const float* rows = parameters_.value(linear.parts[0].weight) + first * ld + linear.parts[0].first;
    return turned ? ops_.pack_outputs(inputs, outputs, first, count, rows, ld, packed)
                  : ops_.pack_inputs(outputs, inputs, first, count, rows, ld, packed);
  }
  size_t start = 0;  // first output of the part
  for (const LinearPlan::Part& part : linear.parts) {  // a step may straddle parts
    const size_t from = std::max(first, start), end = std::min(first + count, start + part.rows);
    if (from < end) {
      const float* rows = parameters_.value(part.weight) + (part.first + from - start) * inputs;
      if (turned) ops_.pack_inputs(inputs, outputs, from, end - from, rows, inputs, packed);
      else ops_.pack_outputs(outputs, inputs, from, end - from, rows, inputs, packed);
    }
    start += part.rows;
  }
}

void TrainedBlock::weight_gradients(const float* input, const BlockMemory& saved, const BlockMemory& shared,
                                    const float* dy, BackwardBlock::Extent extent, Threads& threads) {
  struct Task {
    size_t linear, part, first, count, output;  // output: the part's first
  };
  std::vector<Task> tasks;
  std::vector<Factor> factors;
  for (size_t i = 0; i < block_.weights.linears.size(); i++) {
    const LinearPlan& linear = block_.weights.linears[i];
    factors.push_back(graph_.factor(i, input, saved, shared, dy, extent));
    size_t output = 0;
    for (size_t p = 0; p < linear.parts.size(); p++) {
      const LinearPlan::Part& part = linear.parts[p];
      const size_t range = linear.turned ? linear.inputs : part.rows;
      const bool wanted =
          parameters_.trainable(part.weight) || (!part.bias.empty() && parameters_.trainable(part.bias));
      for (size_t first = 0; wanted && first < range; first += kRange)
        tasks.push_back({i, p, first, std::min(kRange, range - first), output});
      output += part.rows;
    }
  }
  std::vector<Buffer<float>> scratch;
  for (int i = 0; i < threads.count(); i++) scratch.emplace_back(backward_.outer_scratch(kDepth, kRange));
  threads.parallel(tasks.size(), [&](size_t i, int worker) {
    const Task& task = tasks[i];
    Factor factor = factors[task.linear];
    factor.dy += task.output;
    part_gradient(block_.weights.linears[task.linear], task.part, task.first, task.count, factor,
                  scratch[worker].data());
  });
}

// Rows [first, first + count) of the stored weight of one part (its outputs, or where it is stored turned the inputs);
// the bias goes with the rows that are its outputs, or, where rows are inputs, with the first task.
void TrainedBlock::part_gradient(const LinearPlan& linear, size_t part, size_t first, size_t count,
                                 const Factor& factor, float* scratch) {
  const LinearPlan::Part& names = linear.parts[part];
  Parameter& weight = parameters_.at(names.weight);
  for (size_t top = 0; weight.trainable && top < factor.rows; top += kDepth) {
    const size_t depth = std::min(kDepth, factor.rows - top);
    const float *y = factor.dy + top * factor.lddy, *x = factor.x + top * factor.ldx;
    if (linear.turned)
      backward_.outer(depth, count, names.rows, x + first, factor.ldx, y, factor.lddy,
                      weight.gradient.data() + first * linear.stored_outputs + names.first, linear.stored_outputs,
                      scratch);
    else
      backward_.outer(depth, count, linear.inputs, y + first, factor.lddy, x, factor.ldx,
                      weight.gradient.data() + (names.first + first) * linear.inputs, linear.inputs, scratch);
  }
  if (names.bias.empty()) return;
  Parameter& bias = parameters_.at(names.bias);
  if (!bias.trainable || (linear.turned && first > 0)) return;
  const size_t begin = linear.turned ? 0 : first, size = linear.turned ? names.rows : count;
  std::vector<double> sums(size);
  backward_.add_rows(factor.rows, size, factor.dy + begin, factor.lddy, sums.data());
  for (size_t j = 0; j < size; j++) bias.gradient[names.first + begin + j] += float(sums[j]);
}

void TrainedBlock::vector_gradients(const double* sums) {
  for (const VectorPlan& vector : block_.weights.vectors) {
    Parameter& p = parameters_.at(vector.name);
    for (size_t j = 0; p.trainable && j < vector.size; j++) p.gradient[j] += float(sums[j]);
    sums += vector.size;
  }
}

}  // namespace warp
