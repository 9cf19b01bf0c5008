// The choice of a token against a naive reference: sorts everything, in long double.
#include <algorithm>
#include <limits>

#include "check.h"
#include "core/error.h"
#include "core/random.h"
#include "generate/sample.h"

using namespace warp;

namespace {

using Wide = long double;

struct Entry {
  Wide score, weight;
  uint32_t id;
};

// The rules of sample.h, word by word.
uint32_t naive(const SampleOptions& o, const std::vector<float>& z, const std::vector<float>* base, double uniform) {
  const Wide top = *std::max_element(z.begin(), z.end());
  std::vector<Entry> all;
  for (size_t i = 0; i < z.size(); i++) {
    if (base && std::exp(Wide(z[i]) - top) < Wide(o.floor)) continue;
    all.push_back(
        {base ? Wide(z[i]) + Wide(o.contrast) * (Wide(z[i]) - Wide((*base)[i])) : Wide(z[i]), 0, uint32_t(i)});
  }
  std::sort(all.begin(), all.end(),
            [](const Entry& a, const Entry& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
  if (o.temperature == 0) return all[0].id;
  if (o.top_k > 0 && o.top_k < all.size()) all.resize(o.top_k);
  Wide total = 0, sum = 0;
  for (Entry& e : all) total += e.weight = std::exp((e.score - all[0].score) / Wide(o.temperature));
  if (o.top_p < 1) {
    size_t count = 0;
    while (count < all.size() && (count == 0 || sum < Wide(o.top_p) * total)) sum += all[count++].weight;
    all.resize(count);
  }
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) { return a.id < b.id; });
  total = sum = 0;
  for (const Entry& e : all) total += e.weight;
  for (const Entry& e : all)
    if ((sum += e.weight) > Wide(uniform) * total) return e.id;
  return all.back().id;
}

double uniform(const Random& random, uint64_t i) { return double(random.word(i)) * 0x1p-32; }

std::vector<float> logits(size_t size, const std::string& name, double deviation, bool ties) {
  const Random random(11, name);
  std::vector<float> z(size);
  for (size_t i = 0; i < size; i++) {
    z[i] = float(deviation * random.normal(i));
    if (ties) z[i] = std::round(z[i]);  // few values: most tokens are tied
  }
  return z;
}

}  // namespace

TEST(the_token_is_that_of_the_naive_reference) {
  const Random random(5, "uniforms");
  uint64_t draw = 0;
  for (size_t size : {1, 2, 17, 300})
    for (bool ties : {false, true})
      for (double temperature : {0.0, 0.3, 1.0, 2.5})
        for (size_t top_k : {0, 1, 5, 40, 1000})
          for (double top_p : {1.0, 0.999, 0.9, 0.5, 0.01})
            for (int contrastive : {0, 1}) {
              SampleOptions o;
              o.temperature = temperature;
              o.top_k = top_k;
              o.top_p = top_p;
              o.contrast = 1.5;
              o.floor = 0.1;
              Sampler sampler(o, size);
              for (int repeat = 0; repeat < 8; repeat++) {
                const std::string name = std::to_string(draw);
                const std::vector<float> z = logits(size, name, 2, ties), base = logits(size, "base " + name, 2, ties);
                const double u = repeat == 0 ? 0 : repeat == 1 ? 1 - 0x1p-53 : uniform(random, draw);
                draw++;
                const Sampled s = sampler.sample(z.data(), contrastive ? base.data() : nullptr, u);
                const uint32_t want = naive(o, z, contrastive ? &base : nullptr, u);
                if (s.token != want)
                  check::fail(__FILE__, __LINE__,
                              "size " + std::to_string(size) + " T " + std::to_string(temperature) + " k " +
                                  std::to_string(top_k) + " p " + std::to_string(top_p) + ": " +
                                  std::to_string(s.token) + ", not " + std::to_string(want));
                // sums of up to 300 numbers in double
                CHECK_NEAR(s.log_probability, double(z[s.token]) - log_sum(size, z.data()), 1e-12);
                if (contrastive)
                  CHECK_NEAR(s.base_log_probability, double(base[s.token]) - log_sum(size, base.data()), 1e-12);
              }
            }
}

TEST(tokens_come_as_often_as_they_are_probable) {
  const std::vector<float> z = logits(8, "often", 1, false);
  SampleOptions o;
  o.temperature = 0.7;
  Sampler sampler(o, z.size());
  const Random random(9, "often");
  const size_t draws = 40000;
  std::vector<size_t> seen(z.size());
  for (size_t i = 0; i < draws; i++) seen[sampler.sample(z.data(), nullptr, uniform(random, i)).token]++;
  double total = 0;
  for (float x : z) total += std::exp(double(x) / o.temperature);
  for (size_t i = 0; i < z.size(); i++) {
    const double p = std::exp(double(z[i]) / o.temperature) / total;
    CHECK_NEAR(double(seen[i]) / double(draws), p, 5 * std::sqrt(p * (1 - p) / double(draws)));  // five deviations
  }
}

TEST(logits_that_are_not_finite_are_refused) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (float bad : {inf, nan})
    for (bool in_base : {false, true}) {
      std::vector<float> z = {0, 1, 2}, base = {0, 1, 2};
      (in_base ? base : z)[1] = bad;
      SampleOptions o;
      o.contrast = 1;
      Sampler sampler(o, 3);
      std::string code;
      try {
        sampler.sample(z.data(), base.data(), 0.5);
      } catch (const Error& error) {
        code = error.code;
      }
      CHECK(code == "LOGITS_NOT_FINITE");
    }
}

TEST_MAIN
