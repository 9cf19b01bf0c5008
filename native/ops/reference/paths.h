#pragma once
// What each path family means, said in plain double precision on whole tensors: sorts instead of selections, one
// element after the other. Nothing of native/paths is used.
#include <cstdint>
#include <string>
#include <vector>

namespace warp::reference {

struct PathFamily {
  std::string family = "linear";
  double quadratic_c = 0.3, density = 0.9, epsilon = 0.1, gamma = 0.01;
  std::string rescale = "inverse-density";
  bool mergekit = false;
  uint64_t seed = 0;
};

// θ(λ) of one tensor named `name` whose rows (dim 0) have `width` elements; values before rounding to float32.
std::vector<double> path_point(const PathFamily& path, const std::string& name, size_t width,
                               const std::vector<float>& base, const std::vector<float>& reference, double lambda);

// Which elements a masked family keeps.
std::vector<bool> path_mask(const PathFamily& path, const std::string& name, size_t width,
                            const std::vector<float>& base, const std::vector<float>& reference);

}  // namespace warp::reference
