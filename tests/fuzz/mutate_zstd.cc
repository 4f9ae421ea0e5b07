// How libFuzzer changes seekable zstd: contents are changed and packed again, or a number of the
// table becomes another; of changed bytes hardly any would get past the checksums.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "formats/file.h"
#include "formats/zstd_frames.h"
#include "tests/fuzz/json_mutator.h"
#include "tests/fuzz/require.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zstd_file.h"

namespace {

using namespace tessera;

constexpr size_t kHead = 3;
constexpr size_t kMostContents = 4096;

// What the file holds; empty where that cannot be read.
std::string ContentsOf(std::string_view file_bytes) {
  static const TempDir dir;
  dir.Write("input.zst", file_bytes);
  const File file = File::OpenRead(dir / "input.zst").value();
  const auto table = ZstdFrames::Read(file);
  if (!table || table->bytes() > kMostContents) return "";
  std::string contents(table->bytes(), '\0');
  const auto read = table->ReadAt(file, 0, std::as_writable_bytes(std::span(contents)));
  return read ? contents : "";
}

// The table is at the end: the last bytes are its numbers.
std::string ChangeTable(std::string file, uint32_t seed) {
  constexpr uint32_t kNumbers[] = {0,       1,       12,         21,        255,
                                   1 << 20, 1 << 22, 0x3FFFFFFF, 64u << 20, 0xFFFFFFFF};
  const size_t back = sizeof(uint32_t) + seed / 4 % 64;
  if (back > file.size()) return file;
  uint32_t number = 0;
  std::memcpy(&number, &file[file.size() - back], sizeof number);
  const uint32_t changed[] = {number + 1, number - 1, number * 2,
                              kNumbers[seed / 1024 % std::size(kNumbers)]};
  std::memcpy(&file[file.size() - back], &changed[seed / 256 % 4], sizeof number);
  return file;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  if (size < kHead || seed % 4 == 0) {
    return Deliver(MutateBytes(AsText(data, size), size + 32), data, size, max_size);
  }
  const std::string head = MutateBytes(AsText(data, kHead), kHead).append(kHead, '\0');
  const std::string_view file = AsText(data, size).substr(kHead);
  const Compression compression{.level = 1 + static_cast<int>(seed / 2048 % 3),
                                .planes = seed / 8192 % 2 == 1};
  std::string changed = seed % 4 == 1 ? ChangeTable(std::string(file), seed)
                                      : ZstdFile(MutateBytes(ContentsOf(file), kMostContents),
                                                 1 + seed / 4 % 300, compression);
  return Deliver(head.substr(0, kHead) + changed, data, size, max_size);
}
