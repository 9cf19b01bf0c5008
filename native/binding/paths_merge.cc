// Writing the points of a path into shards.
#include <algorithm>
#include <memory>

#include "binding/handles.h"
#include "binding/task.h"
#include "paths/merge.h"

namespace warp {
namespace {

// One value of `Element` per object of the array under `key`.
template <class Element>
std::vector<Element> list_of(const Napi::Object& object, const char* key, Element (*read)(const Napi::Object&)) {
  std::vector<Element> elements;
  const Napi::Array array = object.Get(key).As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) elements.push_back(read(array.Get(i).As<Napi::Object>()));
  return elements;
}

MergeShard shard_of(const Napi::Object& request) {
  MergeShard shard;
  shard.header = get_bytes(request, "header");
  shard.size = uint64_t(get_number(request, "size"));
  shard.tensors = list_of<MergeShard::Tensor>(request, "tensors", [](const Napi::Object& entry) {
    return MergeShard::Tensor{get_string(entry, "name"), parse_dtype(get_string(entry, "dtype")),
                              uint64_t(get_number(entry, "offset"))};
  });
  shard.copies = list_of<MergeShard::Copy>(request, "copies", [](const Napi::Object& entry) {
    return MergeShard::Copy{get_string(entry, "file"), uint64_t(get_number(entry, "from")),
                            uint64_t(get_number(entry, "length")), uint64_t(get_number(entry, "offset"))};
  });
  shard.targets = list_of<MergeShard::Target>(request, "targets", [](const Napi::Object& entry) {
    return MergeShard::Target{int(get_number(entry, "point")), get_string(entry, "file")};
  });
  return shard;
}

// writeShard(path, shard, threads, onProgress)
Napi::Value start_write(const Napi::CallbackInfo& call) {
  return guarded(call.Env(), [&]() -> Napi::Value {
    const std::shared_ptr<Path> path = path_of(call[0]);
    const auto shard = std::make_shared<MergeShard>(shard_of(call[1].As<Napi::Object>()));
    const int count = std::max(1, call[2].As<Napi::Number>().Int32Value());
    return start_task(
        call.Env(), call[3],
        [=](Context& context) {
          Threads threads(count);
          write_shard(*path, *shard, threads, context);
        },
        [](Napi::Env env) { return env.Undefined(); });
  });
}

}  // namespace

void register_merge(Napi::Env env, Napi::Object exports) {
  exports.Set("writeShard", Napi::Function::New(env, start_write));
}

}  // namespace warp
