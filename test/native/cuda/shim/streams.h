#pragma once
// Streams of the pretended device. A stream that is late does nothing until it must: when the host waits for it, or for
// an event of it, or another stream does so in its turn. Others do everything at once. What is only right by luck,
// because nothing makes one stream wait for another, is then wrong.
#include <cstddef>
#include <functional>

struct CUstream_st;
struct CUevent_st;

namespace shim {

// Which streams created from now on are late; a Backend makes its compute stream first, then its copy stream.
enum class Late { kNone, kAll, kFirst, kSecond };
void late_streams(Late which);

CUstream_st* make_stream();
void drop_stream(CUstream_st* stream);  // after what it still has to do
void queue(CUstream_st* stream, std::function<void()> work);  // null: at once
void finish(CUstream_st* stream);
void finish_all();

CUevent_st* make_event();
void drop_event(CUevent_st* event);
void record(CUevent_st* event, CUstream_st* stream);
void hold(CUstream_st* stream, CUevent_st* event);
void finish(CUevent_st* event);

// Copies to the device so far in streams other than the null one, by what they came from.
struct Copies {
  size_t pinned = 0, pageable = 0;
};
Copies& copies();

}  // namespace shim
