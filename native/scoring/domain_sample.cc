#include "scoring/domain_sample.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace warp {
namespace {

// The `count` rows of a tensor with the smallest random words, ascending.
std::vector<uint32_t> sample_rows(const std::string& name, size_t rows, double rate, uint64_t seed) {
  const size_t count = std::min(rows, size_t(std::ceil(rate * double(rows))));
  std::vector<uint32_t> chosen(rows);
  for (uint32_t i = 0; i < rows; i++) chosen[i] = i;
  if (count == rows) return chosen;
  const Random random(seed, "domains " + name);
  const auto before = [&](uint32_t a, uint32_t b) {
    const uint32_t x = random.word(a), y = random.word(b);
    return x != y ? x < y : a < b;
  };
  std::nth_element(chosen.begin(), chosen.begin() + std::ptrdiff_t(count), chosen.end(), before);
  chosen.resize(count);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

void Sampler::segment(size_t count, size_t group, double weight, bool by_text) {
  segments_.push_back({size_, count, group, weight, by_text});
  size_ += count;
}

Sampled Sampler::sample(const Block& block, size_t group) {
  Sampled s;
  const auto inside = [&](const std::string& name) { return !name.empty() && job_.names.count(name) != 0; };
  for (const LinearPlan& linear : block.weights.linears) {
    Sampled::Linear l;
    size_t start = 0;
    double rate = 1;
    for (const LinearPlan::Part& part : linear.parts) {
      if (inside(part.weight)) {
        const std::string key = part.weight + " " + std::to_string(part.first);
        const std::vector<uint32_t> rows = sample_rows(key, part.rows, job_.rate, job_.seed);
        rate = double(rows.size()) / double(part.rows);
        for (uint32_t row : rows) l.outputs.push_back(uint32_t(start) + row);
      }
      start += part.rows;
    }
    l.at = size_;
    if (!l.outputs.empty()) segment(l.outputs.size() * linear.inputs, group, 1 / rate, true);
    start = 0;
    for (const LinearPlan::Part& part : linear.parts) {
      if (inside(part.bias)) {
        l.biases.push_back({uint32_t(start), uint32_t(part.rows)});
        l.bias_at.push_back(size_);
        segment(part.rows, group, 1);
      }
      start += part.rows;
    }
    s.linears.push_back(std::move(l));
  }
  for (const VectorPlan& vector : block.weights.vectors) {
    s.vectors.push_back({inside(vector.name), size_});
    if (inside(vector.name)) segment(vector.size, group, 1);
  }
  return s;
}

const Block& domain_block(const Program& program, size_t number) {
  if (number < program.layers.size()) return program.layers[number];
  return program.language ? program.before_head : program.head;
}

DomainSample::DomainSample(const DomainJob& job) : sampler(job), lowest(job.program.layers.size()) {
  for (size_t i = 0; i <= job.program.layers.size(); i++) {
    const size_t before = sampler.size();
    sampled.push_back(sampler.sample(domain_block(job.program, i), i));
    if (sampler.size() > before) lowest = std::min(lowest, i);
  }
  size = sampler.size();
}

void Sampler::displacement(const BlockWeights& weights, const Sampled& sampled, float* delta) const {
  for (size_t i = 0; i < weights.linears.size(); i++)
    linear_displacement(weights.linears[i], sampled.linears[i], delta);
  for (size_t v = 0; v < weights.vectors.size(); v++)
    if (sampled.vectors[v].first)
      difference(weights.vectors[v].name, 0, weights.vectors[v].size, delta + sampled.vectors[v].second);
}

void Sampler::difference(const std::string& name, size_t begin, size_t count, float* out) const {
  const PathTensor tensor = job_.path->load(name);
  std::vector<float> base(count);
  tensor.point(job_.path->points(), begin, count, out);
  tensor.point(-1, begin, count, base.data());
  for (size_t i = 0; i < count; i++) out[i] -= base[i];
}

void Sampler::linear_displacement(const LinearPlan& linear, const Sampled::Linear& s, float* delta) const {
  size_t start = 0, next = 0, bias = 0;
  float* to = delta + s.at;
  for (const LinearPlan::Part& part : linear.parts) {
    if (next < s.outputs.size() && s.outputs[next] < start + part.rows) {
      const size_t stored = linear.turned ? linear.stored_outputs : part.first + part.rows;
      std::vector<float> all(stored * linear.inputs);
      difference(part.weight, 0, all.size(), all.data());
      for (; next < s.outputs.size() && s.outputs[next] < start + part.rows; next++) {
        const size_t row = part.first + s.outputs[next] - start;
        for (size_t j = 0; j < linear.inputs; j++)
          *to++ = linear.turned ? all[j * linear.stored_outputs + row] : all[row * linear.inputs + j];
      }
    }
    if (bias < s.biases.size() && s.biases[bias].first == start) {
      difference(part.bias, part.first, part.rows, delta + s.bias_at[bias]);
      bias++;
    }
    start += part.rows;
  }
}

}  // namespace warp
