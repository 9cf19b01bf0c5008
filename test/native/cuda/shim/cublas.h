#pragma once
// What tests may ask of the pretended cuBLASLt.
namespace shim {
// No algorithm is found for products with this epilogue (0: all are found).
void refuse_epilogue(int epilogue);
int products();  // multiplied so far
void hide_cublas(bool hide);
}  // namespace shim
