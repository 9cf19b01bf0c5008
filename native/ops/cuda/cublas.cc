#include "ops/cuda/cublas.h"

#include <dlfcn.h>

#include <cstdlib>
#include <vector>

namespace warp::cublas {
namespace {

std::vector<std::string> places() {
  // the toolkit's major version: the runtime that is linked in and cuBLAS must agree
  const std::string file = "libcublasLt.so." + std::to_string(WARP_CUDA_MAJOR);
  std::vector<std::string> paths;
  if (const char* folder = std::getenv("WARP_CUBLAS_DIR")) paths.push_back(std::string(folder) + "/" + file);
  paths.push_back(file);
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* folder = std::getenv(name)) paths.push_back(std::string(folder) + "/lib64/" + file);
  paths.push_back("/usr/local/cuda/lib64/" + file);
  return paths;
}

Api load() {
  Api api;
  void* library = nullptr;
  for (const std::string& path : places()) {
    library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (library) {
      api.path = path;
      break;
    }
    if (const char* why = dlerror()) api.error += (api.error.empty() ? "" : "; ") + std::string(why);
  }
  if (!library) return api;
  api.found = true;
  api.error.clear();
#define X(name, ...) \
  api.name = reinterpret_cast<abi::name>(dlsym(library, #name)); \
  if (!api.name) { \
    api.found = false; \
    api.error += " " + api.path + " has no " #name; \
  }
  WARP_CUBLASLT_FUNCTIONS(X)
#undef X
  return api;
}

}  // namespace

const Api& api() {
  static const Api loaded = load();
  return loaded;
}

}  // namespace warp::cublas
