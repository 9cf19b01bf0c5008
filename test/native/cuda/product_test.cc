// CudaOps::linear on the pretended device: layouts, epilogues and what replaces them, plans.
#include "on_device.h"
#include "ops/cuda/product.h"
#include "ops/reference/reference.h"
#include "shim/cublas.h"

using namespace warp;
using namespace device;

static void check_linear(cuda::Products& products, size_t rows, size_t outputs, size_t inputs, Activation act,
                         bool with_bias) {
  const size_t ldx = inputs + 3, ldy = outputs + 5;
  const auto x = numbers(rows * inputs, "x"), w = numbers(outputs * inputs, "w"), bias = numbers(outputs, "b");
  const Held<float> held_x(framed(rows, inputs, ldx, x)), weight(w), b(bias), y(framed(rows, ldy));
  products.linear(rows, outputs, inputs, held_x.data(), ldx, weight.data(), with_bias ? b.data() : nullptr, act,
                  y.data(), ldy, stream());
  const auto expected =
      reference::linear(rows, outputs, inputs, wide(x), wide(w), with_bias ? wide(bias) : std::vector<double>(), act);
  // products in double, rounded once, and the activation of a number below 100
  check_near(unframed(y.get(), rows, outputs, ldy), expected, 1e-4, "linear");
}

TEST(linear_agrees_with_and_without_epilogues) {
  for (int refused : {0, int(cublas::kEpilogueBias), int(cublas::kEpilogueGeluBias)}) {
    shim::refuse_epilogue(refused);
    for (Precision precision : {Precision::kF32, Precision::kTF32, Precision::kBF16}) {
      cuda::Products products(precision);
      for (Activation act :
           {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh})
        for (bool with_bias : {false, true}) {
          check_linear(products, 5, 7, 33, act, with_bias);
          check_linear(products, 1, 1, 1, act, with_bias);
          check_linear(products, 0, 3, 4, act, with_bias);
        }
    }
  }
  shim::refuse_epilogue(0);
}

TEST(a_product_without_any_algorithm_is_an_error) {
  shim::refuse_epilogue(cublas::kEpilogueDefault);
  cuda::Products products(Precision::kF32);
  try {
    check_linear(products, 2, 2, 2, Activation::kNone, false);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code == "CUBLAS_FAILED" && error.kind == Kind::kResource);
  }
  shim::refuse_epilogue(0);
}

TEST(one_product_per_call) {
  const int before = shim::products();
  cuda::Products products(Precision::kF32);
  check_linear(products, 2, 2, 2, Activation::kGelu, true);
  CHECK(shim::products() == before + 1);
}

TEST_MAIN
