#include "binding/handles.h"

#include <algorithm>

#include "binding/task.h"

namespace warp {
namespace {

constexpr napi_type_tag kWeightsTag = {0x7761727057656967ull, 0x1ull};

template <class Array>
auto copy_of(const Napi::Object& object, const char* key, napi_typedarray_type type) {
  const Napi::Value value = object.Get(key);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    throw internal_error(std::string(key) + ": wrong array type");
  const Array array = value.As<Array>();
  return std::vector<std::decay_t<decltype(array[0])>>(array.Data(), array.Data() + array.ElementLength());
}

LowRank::Factor factor_of(const Napi::Object& entry) {
  LowRank::Factor factor;
  factor.dtype = parse_dtype(get_string(entry, "dtype"));
  factor.file = int(get_number(entry, "file"));
  factor.offset = uint64_t(get_number(entry, "offset"));
  factor.transposed = get_bool(entry, "transposed");
  return factor;
}

// {left: {dtype, file, offset, transposed}, right: the same, rank, scale}
std::shared_ptr<const LowRank> delta_of(const Napi::Object& entry) {
  const auto delta = std::make_shared<LowRank>();
  delta->left = factor_of(entry.Get("left").As<Napi::Object>());
  delta->right = factor_of(entry.Get("right").As<Napi::Object>());
  delta->rank = uint64_t(get_number(entry, "rank"));
  delta->scale = get_number(entry, "scale");
  return delta;
}

// {dtype, file, first, offset}
std::shared_ptr<const TensorTail> tail_of(const Napi::Object& entry) {
  const auto tail = std::make_shared<TensorTail>();
  tail->dtype = parse_dtype(get_string(entry, "dtype"));
  tail->file = int(get_number(entry, "file"));
  tail->first = uint64_t(get_number(entry, "first"));
  tail->offset = uint64_t(get_number(entry, "offset"));
  return tail;
}

TensorInfo tensor_info(const Napi::Object& entry) {
  TensorInfo info;
  const std::string dtype = get_string(entry, "dtype");
  info.eight = dtype == "F8_E4M3" ? Eight::kE4M3 : dtype == "F8_E5M2" ? Eight::kE5M2 : Eight::kNone;
  info.dtype = info.eight == Eight::kNone ? parse_dtype(dtype) : Dtype::kF16;
  for (double size : get_doubles(entry, "shape")) info.shape.push_back(uint64_t(size));
  if (entry.Has("fill")) {
    info.fill = get_string(entry, "fill") == "zeros" ? TensorInfo::Fill::kZeros : TensorInfo::Fill::kNormal;
    if (info.fill == TensorInfo::Fill::kNormal) {
      info.seed = uint64_t(get_number(entry, "seed"));
      info.deviation = get_number(entry, "deviation");
    }
  } else {
    info.file = int(get_number(entry, "file"));
    info.offset = uint64_t(get_number(entry, "offset"));
    if (entry.Has("tail")) info.tail = tail_of(entry.Get("tail").As<Napi::Object>());
    if (entry.Has("delta")) info.delta = delta_of(entry.Get("delta").As<Napi::Object>());
  }
  info.length = info.elements() * (info.eight == Eight::kNone ? dtype_size(info.dtype) : 1);
  return info;
}

// openWeights(files, [{name, dtype, shape, file, offset, tail?, delta?} | {name, dtype, shape, fill, seed, deviation}])
Napi::Value open_weights(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    std::vector<std::string> files;
    const Napi::Array names = call[0].As<Napi::Array>(), entries = call[1].As<Napi::Array>();
    for (uint32_t i = 0; i < names.Length(); i++) files.push_back(names.Get(i).As<Napi::String>());
    std::map<std::string, TensorInfo> tensors;
    for (uint32_t i = 0; i < entries.Length(); i++) {
      const Napi::Object entry = entries.Get(i).As<Napi::Object>();
      const TensorInfo info = tensor_info(entry);
      int last = info.file;
      if (info.tail) last = std::max(last, info.tail->file);
      if (info.delta) last = std::max({last, info.delta->left.file, info.delta->right.file});
      if (last >= int(files.size())) throw internal_error("tensor of a file that is not given");
      tensors.emplace(get_string(entry, "name"), info);
    }
    return box(call.Env(), std::make_shared<Weights>(std::move(files), std::move(tensors)), kWeightsTag);
  });
}

}  // namespace

std::shared_ptr<Weights> weights_of(const Napi::Value& handle) {
  return unbox<Weights>(handle, kWeightsTag, "weights");
}

std::string get_string(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) throw internal_error(std::string(key) + ": expected a string");
  return value.As<Napi::String>();
}

double get_number(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) throw internal_error(std::string(key) + ": expected a number");
  return value.As<Napi::Number>();
}

bool get_bool(const Napi::Object& object, const char* key) { return object.Get(key).ToBoolean(); }

std::vector<double> get_doubles(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray()) return copy_of<Napi::Float64Array>(object, key, napi_float64_array);
  std::vector<double> values;
  const Napi::Array array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) values.push_back(array.Get(i).As<Napi::Number>());
  return values;
}

std::vector<uint32_t> get_uint32s(const Napi::Object& object, const char* key) {
  return copy_of<Napi::Uint32Array>(object, key, napi_uint32_array);
}
std::vector<int32_t> get_int32s(const Napi::Object& object, const char* key) {
  return copy_of<Napi::Int32Array>(object, key, napi_int32_array);
}
std::vector<uint8_t> get_bytes(const Napi::Object& object, const char* key) {
  return copy_of<Napi::Uint8Array>(object, key, napi_uint8_array);
}

Napi::Value to_float64_array(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Value to_float32_array(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

void register_handles(Napi::Env env, Napi::Object exports) {
  exports.Set("openWeights", Napi::Function::New(env, open_weights));
}

}  // namespace warp
