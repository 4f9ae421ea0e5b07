// How libFuzzer changes journals: a record's check is made right again, else only the first damage
// would ever be read.
#include <cstring>
#include <string>

#include "convert/journal.h"
#include "formats/hash.h"
#include "tests/fuzz/json_mutator.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

constexpr size_t kCheckBytes = 8;
constexpr size_t kFixedBytes = sizeof(TileRecord::tile) + sizeof(ValueStats);

// A record around the payload.
std::string Record(std::string_view payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string out(reinterpret_cast<const char*>(&size), sizeof size);
  out += payload;
  return out.append(reinterpret_cast<const char*>(Xxh3(payload).bytes.data()), kCheckBytes);
}

// The records' borders in a journal without its first line; ends at damage.
std::vector<size_t> Borders(std::string_view bytes) {
  std::vector<size_t> borders = {0};
  for (size_t at = 0; bytes.size() - at >= sizeof(uint32_t);) {
    uint32_t size = 0;
    std::memcpy(&size, bytes.data() + at, sizeof size);
    if (size > bytes.size() - at || size + sizeof size + kCheckBytes > bytes.size() - at) break;
    at += sizeof size + size + kCheckBytes;
    borders.push_back(at);
  }
  return borders;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  if (size == 0 || seed % 4 == 0) {
    return Deliver(MutateBytes(AsText(data, size), size + 64), data, size, max_size);
  }
  const std::string input(AsText(data, size));
  const std::string_view records = std::string_view(input).substr(1);
  const std::vector<size_t> borders = Borders(records);
  const size_t chosen = seed / 4 % borders.size();
  std::string payload(sizeof(uint64_t), '\0');  // where none is there to be changed
  size_t end = borders[chosen];
  if (chosen + 1 < borders.size()) {
    end = borders[chosen + 1];
    payload = records.substr(borders[chosen] + sizeof(uint32_t),
                             end - borders[chosen] - sizeof(uint32_t) - kCheckBytes);
  }
  payload = MutateBytes(payload, payload.size() + 64);
  if (seed % 4 == 1) payload.resize(kFixedBytes + seed / 8 % 4 * sizeof(Digest));
  const std::string_view before = std::string_view(input).substr(0, 1 + borders[chosen]);
  return Deliver(std::string(before) + Record(payload) + std::string(records.substr(end)), data,
                 size, max_size);
}
