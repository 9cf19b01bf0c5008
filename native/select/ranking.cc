#include <algorithm>
#include <cmath>

#include "select/strategies.h"

namespace warp {

std::vector<uint32_t> rank(const std::vector<double>& score, const Choice& choice) {
  std::vector<uint32_t> order;
  for (size_t i = 0; i < score.size(); i++)
    if (choice.allowed[i]) order.push_back(uint32_t(i));
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return score[a] > score[b] || (score[a] == score[b] && a < b); });
  if (choice.quota.empty()) {
    order.resize(std::min(order.size(), choice.count));
    return order;
  }
  std::vector<uint32_t> left = choice.quota, picked;
  for (uint32_t i : order) {
    if (picked.size() == choice.count) break;
    uint32_t& room = left[choice.group[i]];
    if (room == 0) continue;
    room--;
    picked.push_back(i);
  }
  return picked;
}

std::vector<double> matching(Candidates& candidates, const std::vector<double>& along, const std::vector<double>& norm2,
                             const std::vector<uint8_t>& allowed, size_t sweeps, double tolerance, Context& context) {
  std::vector<double> weight(along.size(), 0.0), sum(candidates.size(), 0.0);
  for (size_t sweep = 0; sweep < sweeps; sweep++) {
    double gain = 0;
    candidates.stream([&](size_t first, size_t count) {
      for (size_t i = first; i < first + count; i++) {
        if (!allowed[i] || norm2[i] == 0) continue;
        if (i % 512 == 0) context.check();
        const double pull = along[i] - candidates.against(sum.data(), i);
        const double next = std::max(0.0, weight[i] + pull / norm2[i]), step = next - weight[i];
        if (step == 0) continue;
        candidates.add(sum.data(), i, step);
        gain += step * (2 * pull - step * norm2[i]);
        weight[i] = next;
      }
    });
    context.progress(double(sweep + 1), double(sweeps));
    if (gain < tolerance) break;
  }
  return weight;
}

}  // namespace warp
