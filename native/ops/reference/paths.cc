#include "ops/reference/paths.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/random.h"

namespace warp::reference {
namespace {

// Elements [begin, end) by |δ|, largest first, equal ones by index.
std::vector<size_t> by_magnitude(const std::vector<float>& base, const std::vector<float>& reference, size_t begin,
                                 size_t end) {
  std::vector<size_t> order(end - begin);
  std::iota(order.begin(), order.end(), begin);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::fabs(reference[a] - base[a]) > std::fabs(reference[b] - base[b]);  // rounded to float32, as ranked
  });
  return order;
}

double scale_of(const PathFamily& path, const std::vector<bool>& keep, const std::vector<float>& base,
                const std::vector<float>& reference) {
  if (path.family != "dare" && path.family != "della") return 1;
  if (std::all_of(keep.begin(), keep.end(), [](bool kept) { return kept; }) && path.density >= 1) return 1;
  if (path.rescale == "inverse-density") return 1 / path.density;
  double all = 0, kept = 0;
  for (size_t i = 0; i < keep.size(); i++) {
    const double size = std::fabs(double(reference[i]) - double(base[i]));
    all += size;
    kept += keep[i] ? size : 0;
  }
  return path.rescale == "l1" && all >= 1e-7 && kept >= 1e-7 ? all / kept : 1;
}

std::vector<double> slerp(const PathFamily& path, const std::vector<float>& base, const std::vector<float>& reference,
                          double lambda) {
  double ll = 0, rr = 0, lr = 0;
  for (size_t i = 0; i < base.size(); i++) {
    ll += double(base[i]) * base[i];
    rr += double(reference[i]) * reference[i];
    lr += double(base[i]) * reference[i];
  }
  const bool zero = std::sqrt(ll) <= 1e-8 || std::sqrt(rr) <= 1e-8;
  const double c = zero ? 0 : lr / (std::sqrt(ll) * std::sqrt(rr));
  double a = 1 - lambda, b = lambda;
  if (std::fabs(c) <= 0.9995 && (!zero || path.mergekit)) {
    const double angle = std::acos(c);
    a = std::sin((1 - lambda) * angle) / std::sin(angle);
    b = std::sin(lambda * angle) / std::sin(angle);
  }
  std::vector<double> out(base.size());
  for (size_t i = 0; i < out.size(); i++) out[i] = a * double(base[i]) + b * double(reference[i]);
  return out;
}

}  // namespace

std::vector<bool> path_mask(const PathFamily& path, const std::string& name, size_t width,
                            const std::vector<float>& base, const std::vector<float>& reference) {
  const size_t n = base.size();
  std::vector<bool> keep(n, true);
  const Random random(path.seed, "mask " + name);
  if (path.family == "ties" || path.family == "breadcrumbs") {
    // a share that is whole but for the rounding of the product counts as whole
    const auto share = [&](double part) { return size_t(std::floor(part * double(n) * (1 + 1e-12))); };
    const size_t kept = std::min(n, std::max<size_t>(1, share(path.density)));
    const size_t top = path.family == "ties" ? 0 : std::min(n - kept, share(path.gamma));
    const std::vector<size_t> order = by_magnitude(base, reference, 0, n);
    for (size_t place = 0; place < n; place++) keep[order[place]] = place >= top && place < top + kept;
  } else if (path.family == "dare") {
    for (size_t i = 0; i < n; i++) keep[i] = double(random.word(i)) < path.density * 4294967296.0;
  } else if (path.family == "della") {
    for (size_t row = 0; row < n; row += width) {
      const std::vector<size_t> order = by_magnitude(base, reference, row, row + width);
      for (size_t place = 0; place < width; place++) {
        const double rank = double(width - place);  // ascending, from 1
        const double p =
            width == 1 ? path.density : path.density - path.epsilon + 2 * path.epsilon * (rank - 1) / double(width - 1);
        keep[order[place]] = double(random.word(order[place])) < p * 4294967296.0;
      }
    }
  }
  return keep;
}

std::vector<double> path_point(const PathFamily& path, const std::string& name, size_t width,
                               const std::vector<float>& base, const std::vector<float>& reference, double lambda) {
  if (path.family == "slerp") return slerp(path, base, reference, lambda);
  double largest = 0;
  for (size_t i = 0; i < base.size(); i++)
    largest = std::max(largest, std::fabs(double(reference[i]) - double(base[i])));
  const std::vector<bool> keep = path_mask(path, name, width, base, reference);
  const double scale = scale_of(path, keep, base, reference);
  const double w = path.family == "quadratic" ? path.quadratic_c * lambda * lambda + (1 - path.quadratic_c) * lambda
                                              : lambda * scale;
  std::vector<double> out(base.size());
  for (size_t i = 0; i < out.size(); i++) {
    const double delta = double(reference[i]) - double(base[i]), limit = lambda * largest;
    if (path.family == "nearswap") out[i] = double(base[i]) + std::min(limit, std::max(-limit, delta));
    else out[i] = double(base[i]) + (keep[i] ? w * delta : 0);
  }
  return out;
}

}  // namespace warp::reference
