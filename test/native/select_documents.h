#pragma once
// Documents whose gradients are written out, and the loop over all of them that greedy is compared with.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "select/strategies.h"

namespace warp {

struct Documents {
  std::shared_ptr<Candidates> candidates;
  std::vector<std::vector<double>> written;  // −g: descending it is the step
  std::vector<double> along, norm2;
};

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); i++) sum += a[i] * b[i];
  return sum;
}

inline Choice everything(size_t documents, size_t count) {
  Choice choice;
  choice.allowed.assign(documents, 1);
  choice.count = count;
  return choice;
}

// The loop over all documents, with sums that are written out.
inline std::vector<uint32_t> naive(const Documents& documents, const Choice& choice, size_t batch) {
  const size_t size = documents.written[0].size(), count = documents.written.size();
  std::vector<double> sum(size, 0.0);
  double along = 0;
  std::vector<uint8_t> open = choice.allowed;
  std::vector<uint32_t> picks, left = choice.quota;
  while (picks.size() < choice.count) {
    if (batch > 0 && !picks.empty() && picks.size() % batch == 0) {
      std::fill(sum.begin(), sum.end(), 0.0);
      along = 0;
    }
    double best = -2;
    size_t document = count;
    for (size_t i = 0; i < count; i++) {
      if (!open[i] || (!left.empty() && left[choice.group[i]] == 0)) continue;
      std::vector<double> with = sum;
      for (size_t j = 0; j < size; j++) with[j] += documents.written[i][j];
      const double cosine = (along + documents.along[i]) / std::sqrt(dot(with, with));
      if (cosine > best) {
        best = cosine;
        document = i;
      }
    }
    if (document == count) break;
    for (size_t j = 0; j < size; j++) sum[j] += documents.written[document][j];
    along += documents.along[document];
    open[document] = 0;
    if (!left.empty()) left[choice.group[document]]--;
    picks.push_back(uint32_t(document));
  }
  return picks;
}

}  // namespace warp
