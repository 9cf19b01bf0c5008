#pragma once
// A network as data: what lib/models emits (lib/models/network.ts), checked once. No architecture has a name here.
// A block turns a slot `x` (slot 0) into its output by typed steps; every slot is written once. A slot is a matrix
// with a row per token of some texts, or per row that the head reads.
#include <cstdint>
#include <string>
#include <vector>

#include "ops/ops.h"

namespace warp {

struct Operand {  // some columns of a slot
  uint32_t slot = 0, at = 0, width = 0;
};

enum class StepKind { kLinear, kNorm, kRope, kAttention, kActivate, kMultiply, kAdd, kDrop, kSoftcap };
enum class Rate { kEmbedding, kAttention, kHidden, kHead };  // which of the recipe's dropout rates

// One linear layer assembled from rows (outputs) of stored tensors, one part after the other.
struct LinearPlan {
  struct Part {
    std::string weight, bias;  // bias empty: none
    size_t first = 0, rows = 0;  // outputs of the stored weight, and of the bias
  };
  std::vector<Part> parts;
  size_t inputs = 0;
  bool turned = false;        // stored inputs × outputs (Conv1D)
  size_t stored_outputs = 0;  // columns of the stored weight when turned
  size_t first_input = 0;     // row of the stored weight when turned

  size_t outputs() const {
    size_t sum = 0;
    for (const Part& part : parts) sum += part.rows;
    return sum;
  }
};

struct VectorPlan {  // gain or bias of a normalisation
  std::string name;
  size_t size = 0;
};

// The tensors that a block reads.
struct BlockWeights {
  std::vector<LinearPlan> linears;
  std::vector<VectorPlan> vectors;
  std::vector<std::string> names() const;  // each once, sorted
};

struct Step {
  StepKind kind = StepKind::kAdd;
  Operand a, b, c;    // attention: q, k, v; multiply, add: a and b; else a
  uint32_t to = 0;    // the slot that is written, whole
  int linear = -1;    // of the block's linears
  int gain = -1, bias = -1;  // of the block's vectors
  Activation activation = Activation::kNone;
  bool center = true;  // norm
  float epsilon = 0, offset = 0;
  size_t groups = 1;  // norm; linear: of a's columns, each with a linear layer of its own, `linear` the first
  size_t head_size = 0, rotary = 0;
  int rope = -1;  // of the program's
  size_t heads = 0, kv_heads = 0, window = 0;
  bool causal = false;
  float scale = 1, softcap = 0;  // softcap: of attention, or kSoftcap's
  std::string site;              // of dropout
  Rate rate = Rate::kHidden;
};

struct Block {
  std::vector<uint32_t> widths;  // by slot; slot 0 is x
  std::vector<Step> steps;
  uint32_t output = 0;
  BlockWeights weights;

  uint32_t output_width() const { return widths[output]; }
};

enum class TableBy { kToken, kPosition, kType };
struct TablePlan {
  std::string tensor;
  TableBy by = TableBy::kToken;
  size_t rows = 0;
  int64_t padding = -1;  // positions as RoBERTa counts them
  float factor = 1;
};

struct RopePlan {
  size_t rotary = 0;
  std::vector<double> frequency;  // rotary / 2: radians a position
  bool operator==(const RopePlan& o) const { return rotary == o.rotary && frequency == o.frequency; }
};

enum class Select { kFirst, kLast, kMean, kAll };

// The widest part of a classifier's head that has closed forms: logits = W act(D x + d) + b, or without D.
struct HeadPlan {
  std::string weight, bias;        // bias empty: none
  std::string dense, dense_bias;   // empty: none
  Activation activation = Activation::kNone;  // after dense
  bool has_dense() const { return !dense.empty(); }
};

struct Program {
  size_t hidden = 0, vocabulary = 0, positions = 0, types = 0, embedding = 0;
  size_t outputs = 0;  // classes, or the vocabulary
  bool language = false;
  std::vector<TablePlan> tables;
  Block embed;
  std::vector<Block> layers;
  Select select = Select::kFirst;
  int64_t pad = -1, padding_row = -1;
  Block head;  // from the selected rows to the logits
  std::vector<RopePlan> ropes;

  // Derived by finish_program: what of the head comes before its closed forms, and these. Of language models the
  // output layer alone (no dense), and the cap of its logits (0: none).
  Block before_head;
  HeadPlan head_plan;
  float logit_cap = 0;

  const std::string& token_table() const;
  size_t features() const { return before_head.output_width(); }  // width of what `head_plan` reads
  bool every_row() const { return select == Select::kMean || select == Select::kAll; }
  size_t widest_linear() const;  // inputs or outputs
};

// Shapes, slots and derived parts; a contradiction is an internal error that names step and tensor.
void finish_program(Program& program);

// The row that feeds the head, as a position in its text (kFirst; kLast: transformers' rule, the last that is not
// padding, the first when all are); kMean and kAll read every row.
uint32_t selected_position(const Program& program, const uint32_t* ids, uint32_t length);
// Rows of a text's positions in a position table.
void position_rows(const TablePlan& table, const uint32_t* ids, uint32_t length, uint32_t* rows);

// Multiply-adds × 2 of one block on texts of these lengths, `selected` when only one row a text is wanted.
double block_flops(const Block& block, bool selected, size_t texts, const uint32_t* offsets);

}  // namespace warp
