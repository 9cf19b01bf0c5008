#pragma once
// The classification head in training: BERT's pooler, dropout and classifier, or GPT-2's last normalisation and
// score; softmax cross-entropy; gradients.
#include "training/layer.h"

namespace warp {

class TrainingHead {
 public:
  TrainingHead(const Model& model, Parameters& parameters, const Ops& ops, const BackwardOps& backward);

  // x: texts × hidden, the last layer's selected rows. Adds the gradients of the head's tensors, those of Σ loss ·
  // weight; writes dx (as x) and logits (texts × labels). Returns Σ loss.
  double run(const Batch& batch, const float* x, double weight, const Dropout& dropout, float* dx, float* logits);

 private:
  struct Product {  // y = x Wᵀ + b and its gradients
    Parameter *weight = nullptr, *bias = nullptr;
    size_t outputs = 0, inputs = 0;
  };
  void forward(const Product& product, size_t rows, const float* x, float* y);
  void backward(const Product& product, size_t rows, const float* dy, const float* x, float* dx);

  const ModelSpec& spec_;
  Parameters& parameters_;
  const Ops& ops_;
  const BackwardOps& backward_;
  Product classifier_, pooler_;
  Parameter *gain_ = nullptr, *bias_ = nullptr;  // of the last normalisation
  Growing packed_, scratch_, before_, h_, dh_;
};

}  // namespace warp
