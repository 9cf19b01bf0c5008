#pragma once
// Native objects that JavaScript holds but never looks into, and reads of plain values from JavaScript.
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "files/weights.h"
#include "paths/path.h"

namespace warp {

template <class T>
using Box = std::shared_ptr<std::shared_ptr<T>>;  // the inner pointer is dropped by close()

// An object { close() } around a shared native value. Jobs that use the value keep it alive.
template <class T>
Napi::Value box(Napi::Env env, std::shared_ptr<T> value, const napi_type_tag& tag) {
  const Box<T> inner = std::make_shared<std::shared_ptr<T>>(std::move(value));
  auto external = Napi::External<Box<T>>::New(env, new Box<T>(inner), [](Napi::Env, Box<T>* gone) { delete gone; });
  external.TypeTag(&tag);
  Napi::Object handle = Napi::Object::New(env);
  handle.DefineProperty(Napi::PropertyDescriptor::Value("native", external));
  handle.Set("close", Napi::Function::New(env, [inner](const Napi::CallbackInfo&) { inner->reset(); }));
  return handle;
}

template <class T>
std::shared_ptr<T> unbox(const Napi::Value& handle, const napi_type_tag& tag, const char* what) {
  if (handle.IsObject()) {
    const Napi::Value native = handle.As<Napi::Object>().Get("native");
    if (native.IsExternal() && native.As<Napi::External<Box<T>>>().CheckTypeTag(&tag)) {
      const std::shared_ptr<T> value = **native.As<Napi::External<Box<T>>>().Data();
      if (!value) throw Error(Kind::kUsage, "HANDLE_CLOSED", std::string(what) + " is already closed", "open it again");
      return value;
    }
  }
  throw Error(Kind::kUsage, "HANDLE_WRONG", std::string("expected a handle of ") + what,
              "pass what the package returned");
}

std::shared_ptr<Weights> weights_of(const Napi::Value& handle);
std::shared_ptr<Path> path_of(const Napi::Value& handle);
// What the path did with each tensor that it was asked for: PathRecord[].
Napi::Value record_to_js(Napi::Env env, const Path& path);

std::string get_string(const Napi::Object& object, const char* key);
double get_number(const Napi::Object& object, const char* key);
bool get_bool(const Napi::Object& object, const char* key);
std::vector<double> get_doubles(const Napi::Object& object, const char* key);  // Float64Array or array of numbers
// A typed array's elements; an internal error when the type is another.
std::vector<uint32_t> get_uint32s(const Napi::Object& object, const char* key);
std::vector<int32_t> get_int32s(const Napi::Object& object, const char* key);
std::vector<uint8_t> get_bytes(const Napi::Object& object, const char* key);

Napi::Value to_float64_array(Napi::Env env, const std::vector<double>& values);
Napi::Value to_float32_array(Napi::Env env, const std::vector<float>& values);

// Registered by addon.cc, one function a file.
void register_handles(Napi::Env env, Napi::Object exports);
void register_paths(Napi::Env env, Napi::Object exports);
void register_merge(Napi::Env env, Napi::Object exports);
void register_devices(Napi::Env env, Napi::Object exports);
void register_score(Napi::Env env, Napi::Object exports);
void register_train(Napi::Env env, Napi::Object exports);
void register_lock(Napi::Env env, Napi::Object exports);
void register_domains(Napi::Env env, Napi::Object exports);
void register_diff(Napi::Env env, Napi::Object exports);

}  // namespace warp
