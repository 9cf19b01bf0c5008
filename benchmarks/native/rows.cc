// Row sums of two embedding tables from the disk, next to plain reads of the same files: pairs of runs, each after both
// files have left the page cache, with what comes first taking turns. Prints one JSON object; see cases/rows.mjs.
//   rows FOLDER DTYPE THREADS PAIRS
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
#include "trace/rows.h"

using namespace warp;

namespace {

constexpr size_t kColumns = 4096, kBytes = size_t(1) << 30, kPiece = size_t(1) << 24;

double now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

// 1 GiB of a table's numbers, on the disk.
void make(const std::string& file, Dtype dtype, double moved) {
  const size_t count = kPiece / dtype_size(dtype);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; i++) values[i] = float(0.05 * Random(1, "base").normal(i) + moved * Random(2, "moved").normal(i));
  std::vector<char> bytes(kPiece);
  from_float(dtype, values.data(), count, bytes.data());
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  for (size_t at = 0; at < kBytes; at += kPiece)
    if (descriptor < 0 || ::write(descriptor, bytes.data(), kPiece) != ssize_t(kPiece)) throw internal_error("cannot write " + file);
  ::fsync(descriptor);
  ::close(descriptor);
}

// Takes both files out of the page cache. A virtual machine may have given unused memory back to its host and then waits
// for every page of it; so as much as the files need is taken once and freed.
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

// Seconds to read both files in blocks, in turn.
double read(const std::vector<std::string>& files, Threads& threads, size_t block) {
  const InputFile base(files[0]), reference(files[1]);
  std::vector<Buffer<char>> buffers;
  for (int i = 0; i < threads.count(); i++) buffers.emplace_back(block);
  const double start = now();
  threads.parallel(kBytes / block, [&](size_t task, int worker) {
    for (const InputFile* file : {&base, &reference}) file->read(task * block, block, buffers[size_t(worker)].data(), "the file");
  });
  return now() - start;
}

double sum(const std::vector<std::string>& files, Threads& threads, Dtype dtype) {
  TensorInfo table;
  table.dtype = dtype;
  table.shape = {kBytes / dtype_size(dtype) / kColumns, kColumns};
  table.file = 0;
  table.length = kBytes;
  const Weights base({files[0]}, {{"table", table}}), reference({files[1]}, {{"table", table}});
  RowRequest request;
  request.base = request.reference = "table";
  request.alpha = -1e-4;
  Context context;
  const double start = now();
  const std::vector<RowSums> sums = row_sums(base, reference, request, threads, context);
  const double seconds = now() - start;
  if (!(sums.back().base2 > 0)) throw internal_error("no sums");
  return seconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int count, char** args) {
  if (count != 5) return 2;
  const std::string folder = args[1];
  const std::vector<std::string> files = {folder + "/base", folder + "/reference"};
  const Dtype dtype = parse_dtype(args[2]);
  Threads threads(std::atoi(args[3]));
  make(files[0], dtype, 0);
  make(files[1], dtype, 1e-4);
  size_t block = 0;  // the one that plain reads are fastest with, of two tries each
  double least = 1e30;
  for (size_t tried : {size_t(1) << 19, size_t(1) << 20, size_t(1) << 22})
    for (int i = 0; i < 2; i++) {
      forget(files);
      const double seconds = read(files, threads, tried);
      if (seconds < least) block = tried, least = seconds;
    }
  std::vector<double> plain, sums, ratio;
  for (int pair = 0; pair < std::atoi(args[4]); pair++) {
    double seconds[2] = {};
    for (int turn = 0; turn < 2; turn++) {
      const int which = (pair + turn) % 2;
      forget(files);
      seconds[which] = which ? sum(files, threads, dtype) : read(files, threads, block);
    }
    plain.push_back(2e-9 * kBytes / seconds[0]);
    sums.push_back(2e-9 * kBytes / seconds[1]);
    ratio.push_back(seconds[0] / seconds[1]);
  }
  const double warm_plain = (read(files, threads, block), read(files, threads, block));
  const double warm_sums = (sum(files, threads, dtype), sum(files, threads, dtype));
  std::printf("{\"block\":%zu,\"plain\":%.3g,\"sums\":%.3g,\"share\":%.3g,\"least\":%.3g,\"most\":%.3g,\"cachedPlain\":%.3g,\"cachedSums\":%.3g}\n",
              block, median(plain), median(sums), median(ratio), *std::min_element(ratio.begin(), ratio.end()),
              *std::max_element(ratio.begin(), ratio.end()), 2e-9 * kBytes / warm_plain, 2e-9 * kBytes / warm_sums);
}
