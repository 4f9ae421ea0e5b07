// How libFuzzer changes GGUF files: what is a header is changed field by field and written again
// with counts, lengths and offsets that are right; else a number somewhere becomes another.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "tests/fuzz/json_mutator.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

constexpr uint64_t kNumbers[] = {
    0,       1,          2,          3,          4,          8,          9,
    31,      32,         63,         64,         256,        65535,      65536,
    1 << 28, 0x7FFFFFFF, 0xFFFFFFFF, 1ull << 48, 1ull << 62, 1ull << 63, UINT64_MAX};

class GgufMutation {
 public:
  GgufMutation(GgufHeader header, uint32_t seed) : header_(std::move(header)), random_(seed) {}

  // Nothing for what cannot be written.
  std::string Run() {
    const size_t change = Below(8);
    if (change < 4) {
      ChangeMetadata(change);
    } else {
      ChangeTensors(change);
    }
    std::vector<const TensorInfo*> tensors;
    for (const GgufEntry& entry : header_.entries) tensors.push_back(&entry.info);
    return RenderGgufHeader(header_.metadata, tensors).value_or("");
  }

  uint64_t data_bytes() const {
    uint64_t bytes = 0;
    for (const GgufEntry& entry : header_.entries) bytes += PadTo(entry.info.bytes(), 32);
    return bytes;
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }
  uint64_t Number() { return kNumbers[Below(std::size(kNumbers))]; }

  void ChangeMetadata(size_t change) {
    GgufMetadata& pairs = header_.metadata;
    if (pairs.empty() || change == 0) {
      pairs.emplace_back("key" + std::to_string(Below(100)), static_cast<uint32_t>(Number()));
      return;
    }
    auto& [key, value] = pairs[Below(pairs.size())];
    if (change == 1) {
      key = MutateBytes(key, key.size() + 8);
    } else if (change == 2) {
      pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(Below(pairs.size())));
    } else if (auto* text = std::get_if<std::string>(&value)) {
      *text = MutateBytes(*text, text->size() + 8);
    } else if (auto* number = std::get_if<uint32_t>(&value)) {
      *number = static_cast<uint32_t>(Number());
    } else {
      value = pairs[Below(pairs.size())].second;
    }
  }

  void ChangeTensors(size_t change) {
    std::vector<GgufEntry>& entries = header_.entries;
    if (entries.empty()) return;
    const size_t at = Below(entries.size());
    const TensorInfo& old = entries[at].info;
    std::string name = old.name();
    Dtype dtype = old.dtype();
    Shape shape = old.shape();
    if (change == 4) return void(entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at)));
    if (change == 5) name = MutateBytes(name, name.size() + 8);
    if (change == 6) dtype = AllDtypes()[Below(AllDtypes().size())].dtype;
    if (change == 7) shape.insert(shape.begin(), Number() % 4096);
    if (shape.size() > 4) shape.pop_back();
    if (auto info = TensorInfo::Make(name, dtype, shape)) {
      entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(at), {*std::move(info), 0});
      if (Below(2) == 0) entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
  }

  GgufHeader header_;
  std::minstd_rand random_;
};

// Four or eight bytes somewhere become a number that is often a border.
std::string ChangeNumber(std::string input, uint32_t seed) {
  std::minstd_rand random(seed);
  const size_t width = random() % 2 == 0 ? 4 : 8;
  if (input.size() < width) return input;
  const uint64_t number = kNumbers[random() % std::size(kNumbers)];
  std::memcpy(&input[random() % (input.size() - width + 1)], &number, width);
  return input;
}

}  // namespace

// Some inputs begin with the size of the data that is not there.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  const std::string input(AsText(data, size));
  uint64_t promised = 0;
  const bool has_data = input.starts_with("GGUF");
  const size_t prefix = has_data ? 0 : sizeof promised;
  if (size < 24 || seed % 4 == 0) {
    return Deliver(MutateBytes(input, size + 32), data, size, max_size);
  }
  if (!has_data) std::memcpy(&promised, data, sizeof promised);
  const std::string_view file = std::string_view(input).substr(prefix);
  auto header = ParseGgufHeader(file, file.size() + promised);
  if (!header || seed % 4 == 1) return Deliver(ChangeNumber(input, seed), data, size, max_size);
  const std::string rest(file.substr(std::min<size_t>(header->data_begin, file.size())));
  GgufMutation mutation(*std::move(header), seed);
  std::string changed = mutation.Run();
  if (changed.empty()) return Deliver(ChangeNumber(input, seed), data, size, max_size);
  const uint64_t data_bytes = mutation.data_bytes();
  if (has_data && data_bytes < max_size) {
    changed += rest;
    changed.resize(changed.size() - rest.size() + data_bytes, '\0');
    return Deliver(changed, data, size, max_size);
  }
  std::string front(reinterpret_cast<const char*>(&data_bytes), sizeof data_bytes);
  return Deliver(front.substr(0, prefix) + changed, data, size, max_size);
}
