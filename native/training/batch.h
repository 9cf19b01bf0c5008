#pragma once
// Some texts of a training set, packed: what one pass works on.
#include <cstdint>
#include <vector>

#include "models/model.h"

namespace warp {

// Texts with their classes; ids one after the other, offsets texts + 1.
struct TrainingTexts {
  std::vector<uint32_t> ids, offsets;
  std::vector<uint8_t> types;  // by token; empty: all 0
  std::vector<int32_t> label;
  size_t texts() const { return label.size(); }
};

// A tile is some whole texts, about 192 tokens, cut from the texts alone.
struct TrainingTile {
  size_t first_text, first_token;  // in the batch
  Tile tile;
};

struct Batch {
  std::vector<uint32_t> words, positions, types;  // by token
  std::vector<uint32_t> token_text;               // by token: number of its text in the step, for dropout
  std::vector<uint32_t> text, text_position;      // by text: its number in the step, position of its selected row
  std::vector<uint32_t> text_row;                 // by text: the selected row, counted from the batch's first
  std::vector<int32_t> label;
  std::vector<TrainingTile> tiles;
  size_t longest = 0;
  size_t tokens() const { return words.size(); }
  size_t texts() const { return label.size(); }
};

// `count` texts, numbers `chosen` of the set; `first` is the number of the first of them in the step.
Batch make_batch(const ModelSpec& spec, const TrainingTexts& set, const uint32_t* chosen, size_t count, size_t first);

}  // namespace warp
