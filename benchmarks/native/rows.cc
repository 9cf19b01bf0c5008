// One pass over two tables from the disk, next to plain reads of the same files: rounds over both files after they have
// left the page cache, in which the two sides take turns every 32 MiB, as the disk's rate changes from second to
// second; with which side comes first changing from round to round. The pass is the trace's row sums, or a diff's
// comparison. Prints one JSON object; see cases/rows.mjs and cases/diff.mjs.
//   rows FOLDER DTYPE THREADS ROUNDS [compare]
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/random.h"
#include "core/threads.h"
#include "diff/compare.h"
#include "trace/rows.h"

using namespace warp;

namespace {

constexpr size_t kColumns = 4096, kBytes = size_t(1) << 30, kPiece = size_t(1) << 24, kTurn = size_t(1) << 25;

double now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// 1 GiB of a table's numbers, on the disk.
void make(const std::string& file, Dtype dtype, double moved) {
  const size_t count = kPiece / dtype_size(dtype);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++)
    values[i] = float(0.05 * Random(1, "base").normal(i) + moved * Random(2, "moved").normal(i));
  std::vector<char> bytes(kPiece);
  from_float(dtype, values.data(), count, bytes.data());
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  for (size_t at = 0; at < kBytes; at += kPiece)
    if (descriptor < 0 || ::write(descriptor, bytes.data(), kPiece) != ssize_t(kPiece))
      throw internal_error("cannot write " + file);
  ::fsync(descriptor);
  ::close(descriptor);
}

// Takes both files out of the page cache. A virtual machine may have given unused memory back to its host and then
// waits for every page of it; so as much as the files need is taken once and freed.
void forget(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    const int descriptor = ::open(file.c_str(), O_RDONLY);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
  }
  const size_t bytes = kBytes * 5 / 2;
  void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw internal_error("too little memory");
  for (size_t at = 0; at < bytes; at += 4096) static_cast<volatile char*>(pages)[at] = 1;
  ::munmap(pages, bytes);
}

// Seconds to read a turn's bytes of both files in blocks.
double read(const std::vector<std::string>& files, Threads& threads, size_t block, size_t first) {
  const InputFile base(files[0]), reference(files[1]);
  std::vector<Buffer<char>> buffers;
  for (int i = 0; i < threads.count(); i++) buffers.emplace_back(block);
  const double start = now();
  threads.parallel(kTurn / block, [&](size_t task, int worker) {
    for (const InputFile* file : {&base, &reference})
      file->read(first + task * block, block, buffers[size_t(worker)].data(), "the file");
  });
  return now() - start;
}

// Seconds to sum the rows of a turn, or to compare its elements.
double sum(const std::vector<std::string>& files, Threads& threads, Dtype dtype, size_t first, bool compare) {
  TensorInfo table;
  table.dtype = dtype;
  table.shape = {kTurn / dtype_size(dtype) / kColumns, kColumns};
  table.file = 0;
  table.offset = first;
  table.length = kTurn;
  const Weights base({files[0]}, {{"table", table}}), reference({files[1]}, {{"table", table}});
  RowRequest request;
  request.base = request.reference = "table";
  request.alpha = -1e-4;
  Context context;
  const double start = now();
  const double found = compare ? diff::compare(base, reference, threads, context).at(0).sums.base2
                               : row_sums(base, reference, request, threads, context).back().base2;
  const double seconds = now() - start;
  if (!(found > 0)) throw internal_error("no sums");
  return seconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int count, char** args) {
  if (count != 5 && count != 6) return 2;
  const bool compare = count == 6 && std::string(args[5]) == "compare";
  const std::string folder = args[1];
  const std::vector<std::string> files = {folder + "/base", folder + "/reference"};
  const Dtype dtype = parse_dtype(args[2]);
  Threads threads(std::atoi(args[3]));
  make(files[0], dtype, 0);
  make(files[1], dtype, 1e-4);
  // seconds of both sides over one pass in which they take turns
  const auto pass = [&](size_t block, size_t which) {
    std::vector<double> seconds(2);
    for (size_t first = 0; first < kBytes; first += kTurn, which = 1 - which)
      seconds[which] += which ? sum(files, threads, dtype, first, compare) : read(files, threads, block, first);
    return seconds;
  };
  size_t block = 0;  // the one that plain reads are fastest with against the sums
  double most = 0;
  for (size_t tried : {size_t(1) << 19, size_t(1) << 20, size_t(1) << 22}) {
    forget(files);
    const std::vector<double> seconds = pass(tried, 0);
    if (seconds[1] / seconds[0] > most) block = tried, most = seconds[1] / seconds[0];
  }
  std::vector<double> plain, sums, share;
  for (int round = 0; round < std::atoi(args[4]); round++) {
    forget(files);
    const std::vector<double> seconds = pass(block, size_t(round) % 2);
    plain.push_back(1e-9 * kBytes / seconds[0]);
    sums.push_back(1e-9 * kBytes / seconds[1]);
    share.push_back(seconds[0] / seconds[1]);
  }
  pass(block, 0);
  const std::vector<double> cached = pass(block, 0);
  std::printf(
      "{\"block\":%zu,\"plain\":%.3g,\"sums\":%.3g,\"share\":%.3g,\"least\":%.3g,\"most\":%.3g,"
      "\"cachedPlain\":%.3g,\"cachedSums\":%.3g}\n",
      block, median(plain), median(sums), median(share), *std::min_element(share.begin(), share.end()),
      *std::max_element(share.begin(), share.end()), 1e-9 * kBytes / cached[0], 1e-9 * kBytes / cached[1]);
}
