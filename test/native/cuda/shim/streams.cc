#include "streams.h"

#include <deque>
#include <memory>
#include <mutex>
#include <set>

struct CUstream_st {
  bool late;
  size_t queued = 0, done = 0;
  std::deque<std::function<void()>> work;
};
struct Moment {  // behind the first `count` pieces of work
  std::shared_ptr<CUstream_st> stream;
  size_t count = 0;
};
struct CUevent_st {
  Moment moment;
};

namespace shim {
namespace {

struct State {
  std::recursive_mutex mutex;
  std::set<std::shared_ptr<CUstream_st>> streams;
  Late late = Late::kNone;
  size_t made = 0;  // since late_streams()
  Copies copies;
};
State& state() {
  static State all;
  return all;
}
using Lock = std::lock_guard<std::recursive_mutex>;

void advance(CUstream_st& stream, size_t count) {
  while (stream.done < count) {
    const auto next = std::move(stream.work.front());
    stream.work.pop_front();
    stream.done++;
    next();
  }
}

std::shared_ptr<CUstream_st> held(CUstream_st* stream) {
  for (const auto& one : state().streams)
    if (one.get() == stream) return one;
  return nullptr;
}

}  // namespace

void late_streams(Late which) {
  const Lock lock(state().mutex);
  state().late = which;
  state().made = 0;
}

CUstream_st* make_stream() {
  const Lock lock(state().mutex);
  const Late late = state().late;
  const bool first = state().made++ % 2 == 0;
  auto stream = std::make_shared<CUstream_st>();
  stream->late = late == Late::kAll || (late == Late::kFirst && first) || (late == Late::kSecond && !first);
  state().streams.insert(stream);
  return stream.get();
}

void drop_stream(CUstream_st* stream) {
  const Lock lock(state().mutex);
  finish(stream);
  state().streams.erase(held(stream));
}

void queue(CUstream_st* stream, std::function<void()> work) {
  if (!stream) return work();
  const Lock lock(state().mutex);
  stream->work.push_back(std::move(work));
  stream->queued++;
  if (!stream->late) finish(stream);
}

void finish(CUstream_st* stream) {
  const Lock lock(state().mutex);
  if (stream) advance(*stream, stream->queued);
}

void finish_all() {
  const Lock lock(state().mutex);
  for (const auto& stream : state().streams) finish(stream.get());
}

CUevent_st* make_event() { return new CUevent_st; }
void drop_event(CUevent_st* event) { delete event; }

void record(CUevent_st* event, CUstream_st* stream) {
  const Lock lock(state().mutex);
  event->moment = stream ? Moment{held(stream), stream->queued} : Moment{};
}

void hold(CUstream_st* stream, CUevent_st* event) {
  const Lock lock(state().mutex);
  const Moment moment = event->moment;  // a later record does not matter
  queue(stream, [moment] {
    if (moment.stream) advance(*moment.stream, moment.count);
  });
}

void finish(CUevent_st* event) {
  const Lock lock(state().mutex);
  if (event->moment.stream) advance(*event->moment.stream, event->moment.count);
}

Copies& copies() { return state().copies; }

}  // namespace shim
