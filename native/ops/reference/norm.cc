// norm, its tangent and its gradients, by the definition.
#include <cmath>

#include "ops/reference/backward.h"

namespace warp::reference {
namespace {

// x̂ of one group, and 1 / √(…) in `scale`.
Doubles normal(const NormCall& call, const double* x, double& scale) {
  const double n = double(call.size);
  double mean = 0, square = 0;
  if (call.center)
    for (size_t j = 0; j < call.size; j++) mean += x[j] / n;
  for (size_t j = 0; j < call.size; j++) square += (x[j] - mean) * (x[j] - mean) / n;
  scale = 1 / std::sqrt(square + double(call.epsilon));
  Doubles hat(call.size);
  for (size_t j = 0; j < call.size; j++) hat[j] = (x[j] - mean) * scale;
  return hat;
}

// (t − mean(t) − x̂ mean(t ⊙ x̂)) · scale: the derivative of x̂ along t, and its transpose applied to t
Doubles along(const NormCall& call, const Doubles& hat, double scale, const Doubles& t) {
  const double n = double(call.size);
  double plain = 0, mixed = 0;
  for (size_t j = 0; j < call.size; j++) {
    if (call.center) plain += t[j] / n;
    mixed += t[j] * hat[j] / n;
  }
  Doubles out(call.size);
  for (size_t j = 0; j < call.size; j++) out[j] = (t[j] - plain - hat[j] * mixed) * scale;
  return out;
}

}  // namespace

Doubles norm(const NormCall& call, const Doubles& x, const Doubles& gain, const Doubles& bias) {
  Doubles y;
  double scale;
  for (size_t at = 0; at < x.size(); at += call.size) {
    const Doubles hat = normal(call, &x[at], scale);
    for (size_t j = 0; j < call.size; j++)
      y.push_back(hat[j] * (double(call.offset) + gain[j]) + (bias.empty() ? 0 : bias[j]));
  }
  return y;
}

Doubles norm_tangent(const NormCall& call, const Doubles& x, const Doubles& gain, const Doubles& dx,
                     const Doubles& dgain, const Doubles& dbias) {
  Doubles dy;
  double scale;
  for (size_t at = 0; at < x.size(); at += call.size) {
    const Doubles hat = normal(call, &x[at], scale);
    const Doubles dhat =
        along(call, hat, scale, dx.empty() ? Doubles(call.size) : Doubles(&dx[at], &dx[at] + call.size));
    for (size_t j = 0; j < call.size; j++)
      dy.push_back(dhat[j] * (double(call.offset) + gain[j]) + (dgain.empty() ? 0 : hat[j] * dgain[j]) +
                   (dbias.empty() ? 0 : dbias[j]));
  }
  return dy;
}

NormGradients norm_backward(const NormCall& call, const Doubles& x, const Doubles& gain, const Doubles& dy) {
  NormGradients d{{}, Doubles(call.size), Doubles(call.size)};
  double scale;
  for (size_t at = 0; at < x.size(); at += call.size) {
    const Doubles hat = normal(call, &x[at], scale);
    Doubles t(call.size);
    for (size_t j = 0; j < call.size; j++) {
      t[j] = dy[at + j] * (double(call.offset) + gain[j]);
      d.gain[j] += dy[at + j] * hat[j];
      d.bias[j] += dy[at + j];
    }
    for (double v : along(call, hat, scale, t)) d.x.push_back(v);
  }
  return d;
}

}  // namespace warp::reference
