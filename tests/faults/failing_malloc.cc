// Preloaded, makes the FAILING_MALLOC-th allocation fail; with a + behind the number, that one and
// all after it. Counted from the program's first call of signal(), which its main makes.
#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static long failing = 0;
static bool from_there_on = false;
static std::atomic<long> allocations = 0;

static bool Fails() {
  if (failing == 0) return false;
  const long number = ++allocations;
  if (number != failing && !(from_there_on && number > failing)) return false;
  errno = ENOMEM;
  return true;
}

void* malloc(size_t size) { return Fails() ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return Fails() ? nullptr : __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return Fails() ? nullptr : __libc_realloc(old, size); }
void* memalign(size_t alignment, size_t size) {
  return Fails() ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, size_t alignment, size_t size) {
  void* const made = memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *out = made;
  return 0;
}

using Handler = void (*)(int);
Handler signal(int number, Handler handler) {
  static const auto next = reinterpret_cast<Handler (*)(int, Handler)>(dlsym(RTLD_NEXT, "signal"));
  if (const char* wanted = std::getenv("FAILING_MALLOC")) {
    from_there_on = std::strchr(wanted, '+') != nullptr;
    failing = std::atol(wanted);
  }
  return next(number, handler);
}

}  // extern "C"
