// Every operation of operations/ on a GPU; on the pretended one in both orders of threads and blocks.
#include "on_device.h"
#include "operations/attention.h"
#include "operations/norm.h"
#include "operations/rows.h"
#include "ops/cuda/backend.h"

using namespace operations;

// Arrays on the device, beside the backend whose operations use them.
class DeviceMemory : public Memory {
 public:
  explicit DeviceMemory(cuda::Backend& backend) : backend_(backend) {}
  float* put(const std::vector<float>& values) override { return put(floats_, values); }
  double* put(const std::vector<double>& values) override { return put(doubles_, values); }
  uint32_t* put(const Indices& values) override { return put(indices_, values); }
  void get(const float* from, std::vector<float>& values) override { download(from, values); }
  void get(const double* from, std::vector<double>& values) override { download(from, values); }

 private:
  template <class T>
  T* put(std::vector<cuda::Array<T>>& arrays, const std::vector<T>& values) {
    arrays.emplace_back(values.size() + 1);
    if (!values.empty())
      backend_.upload(arrays.back().data(), values.data(), values.size() * sizeof(T), cuda::Queue::kCompute);
    return arrays.back().data();
  }
  template <class T>
  void download(const T* from, std::vector<T>& values) {
    if (!values.empty()) backend_.download(values.data(), from, values.size() * sizeof(T), cuda::Queue::kCompute);
  }
  cuda::Backend& backend_;
  std::vector<cuda::Array<float>> floats_;
  std::vector<cuda::Array<double>> doubles_;
  std::vector<cuda::Array<uint32_t>> indices_;
};

static void check_all(const std::vector<Case>& cases) {
  const auto backend = cuda::Backend::open(0, Precision::kF32);
  backend->bind();
  backend->set_longest(300);
  const cuda::Array<float> room(cuda::gradient_room(1000, 16));
  backend->set_gradient_room(room.data());
  for (bool reversed : {false, true}) {
    device::reverse_order(reversed);
    for (const Case& c : cases)
      check_backend(c, backend->ops(), &backend->gradient_ops(),
                    [&] { return std::make_unique<DeviceMemory>(*backend); });
  }
  device::reverse_order(false);
}

TEST(norms_and_rotations) {
  std::vector<Case> cases;
  add_norms(cases);
  check_all(cases);
}

TEST(attention_and_its_tangent) {
  std::vector<Case> cases, drawn;
  add_attention(cases);
  for (const Case& c : cases)
    if (c.run_tangent) drawn.push_back(c);  // the others drop, which a GPU does not
  check_all(drawn);
}

TEST(rows_and_losses) {
  std::vector<Case> cases;
  add_rows(cases);
  check_all(cases);
}

TEST(attention_with_dropout_is_refused) {
  AttentionShape shape;
  shape.offsets = {0, 3};
  shape.rate = 0.5;
  const Case c = attention_case(shape);
  const auto backend = cuda::Backend::open(0, Precision::kF32);
  backend->bind();
  DeviceMemory memory(*backend);
  Run run(backend->ops(), nullptr, memory, false);
  try {
    c.run(run, c.in);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.kind == Kind::kInternal);
  }
}

TEST_MAIN
