// How libFuzzer changes inputs that are one JSON document.
#include "tests/fuzz/json_mutator.h"
#include "tests/fuzz/require.h"

using namespace tessera;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  return Deliver(MutateJson(AsText(data, size), seed), data, size, max_size);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t a_size, const uint8_t* b,
                                            size_t b_size, uint8_t* out, size_t max_size,
                                            unsigned int seed) {
  return Deliver(CrossJson(AsText(a, a_size), AsText(b, b_size), seed), out, 0, max_size);
}
