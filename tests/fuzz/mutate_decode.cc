// How libFuzzer changes matrices: as bytes, but for one scheme, where the corpus means all of them.
#include "tests/fuzz/json_mutator.h"
#include "tests/fuzz/require.h"

using namespace tessera;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  constexpr uint8_t kAll = 255, kSchemes = 128;  // as many as there are, or a few more
  size = Deliver(MutateBytes(AsText(data, size), size + 32), data, size, max_size);
  if (size > 0 && data[0] == kAll) data[0] = static_cast<uint8_t>(seed % kSchemes);
  return size;
}
