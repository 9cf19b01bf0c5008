#include <memory>

#include "binding/handles.h"
#include "binding/task.h"
#include "diff/compare.h"
#include "diff/places.h"
#include "diff/spectrum.h"

namespace warp {
namespace {

Napi::Value to_js(Napi::Env env, const std::vector<diff::Comparison>& tensors) {
  Napi::Array array = Napi::Array::New(env, tensors.size());
  for (size_t i = 0; i < tensors.size(); i++) {
    const diff::Sums& sums = tensors[i].sums;
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", tensors[i].name);
    entry.Set("base2", sums.base2);
    entry.Set("cross", sums.cross);
    entry.Set("delta2", sums.delta2);
    entry.Set("power2", sums.power2);
    entry.Set("maxDelta", sums.max_delta);
    entry.Set("maxRatio", sums.max_ratio);
    entry.Set("changed", double(sums.changed));
    entry.Set("moved", double(sums.moved));
    entry.Set("baseBits", double(sums.base_bits));
    entry.Set("referenceBits", double(sums.reference_bits));
    array.Set(uint32_t(i), entry);
  }
  return array;
}

// compareTensors(base, reference, threads, onProgress)
Napi::Value start_compare(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto base = weights_of(call[0]), reference = weights_of(call[1]);
    const int count = std::max(1, int(call[2].As<Napi::Number>().Int32Value()));
    const auto found = std::make_shared<std::vector<diff::Comparison>>();
    return start_task(
        call.Env(), call[3],
        [=](Context& context) {
          Threads threads(count);
          *found = diff::compare(*base, *reference, threads, context);
        },
        [=](Napi::Env env) { return to_js(env, *found); });
  });
}

Napi::Value to_js(Napi::Env env, const diff::Spectrum& spectrum) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("values", to_float64_array(env, spectrum.values));
  object.Set("rounding", spectrum.rounding);
  object.Set("arithmetic", spectrum.arithmetic);
  object.Set("change", spectrum.change);
  object.Set("passes", spectrum.passes);
  return object;
}

// singularValues(base, reference, {name, values, seed, memory, threads})
Napi::Value start_spectrum(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto base = weights_of(call[0]), reference = weights_of(call[1]);
    const Napi::Object object = call[2].As<Napi::Object>();
    diff::SpectrumRequest request;
    request.name = get_string(object, "name");
    request.values = size_t(get_number(object, "values"));
    request.seed = uint64_t(get_number(object, "seed"));
    request.memory = uint64_t(get_number(object, "memory"));
    const int count = std::max(1, int(get_number(object, "threads")));
    const auto found = std::make_shared<diff::Spectrum>();
    return start_task(
        call.Env(), call.Env().Undefined(),
        [=](Context& context) {
          Threads threads(count);
          *found = diff::spectrum(*base, *reference, request, threads, context);
        },
        [=](Napi::Env env) { return to_js(env, *found); });
  });
}

Napi::Value to_uint32_array(Napi::Env env, const std::vector<uint32_t>& values) {
  Napi::Uint32Array array = Napi::Uint32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

// findPlaces(base, reference, name, threads)
Napi::Value start_places(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const auto base = weights_of(call[0]), reference = weights_of(call[1]);
    const std::string name = call[2].As<Napi::String>();
    const int count = std::max(1, int(call[3].As<Napi::Number>().Int32Value()));
    const auto found = std::make_shared<diff::Places>();
    return start_task(
        call.Env(), call.Env().Undefined(),
        [=](Context& context) {
          Threads threads(count);
          *found = diff::places(*base, *reference, name, threads, context);
        },
        [=](Napi::Env env) {
          Napi::Object object = Napi::Object::New(env);
          object.Set("rows", to_uint32_array(env, found->rows));
          object.Set("columns", to_uint32_array(env, found->columns));
          return object;
        });
  });
}

}  // namespace

void register_diff(Napi::Env env, Napi::Object exports) {
  exports.Set("compareTensors", Napi::Function::New(env, start_compare));
  exports.Set("singularValues", Napi::Function::New(env, start_spectrum));
  exports.Set("findPlaces", Napi::Function::New(env, start_places));
}

}  // namespace warp
