#pragma once
// Some texts of a training set, packed: what one pass works on.
#include <cstdint>
#include <vector>

#include "graph/run.h"

namespace warp {

// Texts with their classes, or their targets; ids one after the other, offsets texts + 1.
struct TrainingTexts {
  std::vector<uint32_t> ids, offsets;
  std::vector<uint8_t> types;     // by token; empty: all 0
  std::vector<int32_t> label;     // classifiers: by text
  std::vector<uint32_t> targets;  // language models: by token, the next one where it counts, else kNoTarget
  std::vector<float> soft;        // classifiers: texts × labels, probabilities in the place of a label; or empty
  size_t texts() const { return offsets.size() - 1; }
};

// A tile is some whole texts, about 192 tokens, cut from the texts alone.
struct TrainingTile {
  size_t first_text, first_token;  // in the batch
  Tile tile;
};

struct Batch {
  std::vector<std::vector<uint32_t>> rows;   // by table of the program, by token
  std::vector<uint32_t> positions;           // by token
  std::vector<uint32_t> token_text;          // by token: number of its text in the step, for dropout
  std::vector<uint32_t> text, text_position;  // by text: its number in the step, position of its selected row
  std::vector<int32_t> label;                // by text, or empty
  std::vector<float> soft;                   // by text a row, or empty
  std::vector<uint32_t> targets;             // by token, or empty
  std::vector<TrainingTile> tiles;
  size_t longest = 0;
  size_t tokens() const { return positions.size(); }
  size_t texts() const { return text.size(); }
};

// `count` texts, numbers `chosen` of the set; `first` is the number of the first of them in the step.
Batch make_batch(const Program& program, const TrainingTexts& set, const uint32_t* chosen, size_t count, size_t first);

}  // namespace warp
