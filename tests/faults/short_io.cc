// Preloaded, cuts every positional read and write short, as network file systems and signals do: to
// at most 5000 bytes, and every third one to nothing (EINTR).
#undef _FORTIFY_SOURCE  // would define some of these functions itself
#include <dlfcn.h>
#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

constexpr size_t kMost = 5000;

template <class Data>
ssize_t Call(const char* name, int file, Data* data, size_t size, off_t offset) {
  using Function = ssize_t (*)(int, Data*, size_t, off_t);
  static const auto next = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
  static std::atomic<unsigned> calls = 0;
  if (++calls % 3 == 0) {
    errno = EINTR;
    return -1;
  }
  return next(file, data, std::min(size, kMost), offset);
}

}  // namespace

extern "C" {

ssize_t pread(int file, void* data, size_t size, off_t offset) {
  return Call("pread", file, data, size, offset);
}
ssize_t pread64(int file, void* data, size_t size, off_t offset) {
  return Call("pread", file, data, size, offset);
}
// What _FORTIFY_SOURCE calls instead.
ssize_t __pread_chk(int file, void* data, size_t size, off_t offset, size_t) {
  return Call("pread", file, data, size, offset);
}
ssize_t __pread64_chk(int file, void* data, size_t size, off_t offset, size_t) {
  return Call("pread", file, data, size, offset);
}
ssize_t pwrite(int file, const void* data, size_t size, off_t offset) {
  return Call("pwrite", file, data, size, offset);
}
ssize_t pwrite64(int file, const void* data, size_t size, off_t offset) {
  return Call("pwrite", file, data, size, offset);
}

}  // extern "C"
