#pragma once
// What going through a network's blocks and back takes on a GPU; taken in the same order whether there is memory or
// only counting.
#include <algorithm>

#include "graph/backward.h"
#include "scoring/device_block.h"

namespace warp {

// A block to go through and back, on some rows.
struct BackRoom {
  char* stage;
  DeviceWeights weights;
  std::vector<float*> turned;  // for dx = dy W, by linear layer
  BlockMemory saved, shared;
  float *scratch, *stats;
  double* sums;

  BackRoom(DeviceRoom& room, const DevicePass& pass, const BackwardBlock& graph, BackwardBlock::Extent rows,
           size_t longest)
      : stage(room.take<char>(stage_bytes(pass.path, graph.block().weights.names()))),
        weights(room, pass, graph.block().weights, nullptr) {
    for (const LinearPlan& linear : graph.block().weights.linears)
      turned.push_back(room.take<float>(linear.outputs() * linear.inputs));
    for (size_t floats : graph.saved(rows.tokens, rows.texts)) saved.rows.push_back(room.take<float>(floats));
    for (size_t floats : graph.shared(rows.tokens, rows.texts)) shared.rows.push_back(room.take<float>(floats));
    scratch = room.take<float>(graph.scratch(rows.tokens, longest));
    size_t heads = 1;
    for (const Action& action : graph.flow().actions) heads = std::max({heads, action.step.heads, action.step.groups});
    stats = room.take<float>(cuda::gradient_room(rows.tokens, heads));
    sums = room.take<double>(graph.sums());
  }

  void turn(cuda::Backend& backend, const BlockWeights& tensors) const {
    for (size_t i = 0; i < turned.size(); i++) {
      const size_t outputs = tensors.linears[i].outputs(), inputs = tensors.linears[i].inputs;
      backend.transpose(outputs, inputs, weights.point().packed[i], inputs, turned[i], outputs);
    }
  }
};

// A batch on the device: its tile, the layers' inputs, the gradient and the next one.
struct BatchRoom {
  uint32_t *offsets, *selected, *rows, *positions, *each;
  std::vector<float*> inputs;
  float *y, *dy, *dx;
  BatchRoom(DeviceRoom& room, const Program& p, size_t tokens, size_t texts)
      : offsets(room.take<uint32_t>(texts + 1)), selected(room.take<uint32_t>(texts)), rows(room.take<uint32_t>(texts)),
        positions(room.take<uint32_t>(tokens)), each(room.take<uint32_t>(texts + 1)) {
    for (size_t i = 0; i < p.layers.size(); i++) inputs.push_back(room.take<float>(tokens * p.hidden));
    for (float** to : {&y, &dy, &dx}) *to = room.take<float>(tokens * p.hidden);
  }
};

struct EmbedRoom {
  char *stage, *own;
  std::vector<uint32_t*> rows, index;
  std::vector<float*> formed;
  DeviceBlock block;
  float* sums;
  EmbedRoom(DeviceRoom& room, const DevicePass& pass, size_t tokens)
      : stage(nullptr), own(room.take<char>(stage_bytes(pass.path, pass.program.embed.weights.names()))),
        block(room, pass, pass.program.embed, {false, true, true}, tokens, nullptr),
        sums(room.take<float>(tokens * pass.program.embedding)) {
    size_t bytes = 0;
    for (const TablePlan& table : pass.program.tables) {
      const size_t most = std::min(tokens, table.rows), elements = most * pass.program.embedding;
      bytes += DeviceStage::bytes(pass.path, table.tensor, elements);
      rows.push_back(room.take<uint32_t>(most));
      index.push_back(room.take<uint32_t>(tokens));
      formed.push_back(room.take<float>(elements));
    }
    stage = room.take<char>(bytes);
  }
};

// A language model's output layer, for the whole run.
struct OutputRoom {
  float *weight, *bias, *turned;
  OutputRoom(DeviceRoom& room, const DevicePass& pass) {
    const HeadPlan& plan = pass.program.head_plan;
    const size_t size = pass.program.outputs * pass.program.features();
    weight = room.take<float>(size);
    turned = room.take<float>(size);
    bias = plan.bias.empty() ? nullptr : room.take<float>(pass.program.outputs);
  }
};

struct HeadRoom {
  BackRoom back;
  float *x, *closed, *dclosed, *dx, *z, *e;
  uint32_t *index, *target, *first;
  double* loss;
  size_t block;  // rows of logits
  HeadRoom(DeviceRoom& room, const DevicePass& pass, const BackwardBlock& graph, size_t rows, size_t texts)
      : back(room, pass, graph, {rows, rows}, 1) {
    const Program& p = pass.program;
    block = p.language ? std::min(rows, std::max<size_t>(1, pass.logit_floats / p.outputs)) : rows;
    for (float** to : {&x, &dx}) *to = room.take<float>(rows * p.hidden);
    for (float** to : {&closed, &dclosed}) *to = room.take<float>(p.language ? rows * p.features() : 0);
    for (float** to : {&z, &e}) *to = room.take<float>(block * p.outputs);
    for (uint32_t** to : {&index, &target}) *to = room.take<uint32_t>(rows);
    first = room.take<uint32_t>(texts + 1);
    loss = room.take<double>(rows);
  }
};

}  // namespace warp
