// Seekable zstd: a table is refused, or its frames lie in the file one after the other and hold the
// contents without a gap; a part that is read is what the whole has there. What is packed again is
// the same.
#include <algorithm>
#include <string>

#include "formats/zstd_frames.h"
#include "tests/fuzz/require.h"
#include "tests/support/temp_dir.h"
#include "tests/support/zstd_file.h"

namespace {

using namespace tessera;

constexpr uint64_t kMostContents = uint64_t{1} << 18;
constexpr size_t kHead = 3;

void CheckTable(const ZstdFrames& table, uint64_t file_bytes) {
  uint64_t contents = 0, packed = 0;
  for (const ZstdFrame& frame : table.frames()) {
    Require(frame.begin == contents && frame.packed_begin >= packed);
    Require(std::max(frame.bytes, frame.packed) <= kMaxZstdFrameBytes);
    contents += frame.bytes;
    packed = frame.packed_begin + frame.packed;
  }
  Require(contents == table.bytes() && packed <= file_bytes);
}

Result<std::string> ReadPart(const ZstdFrames& table, const File& file, uint64_t begin,
                             uint64_t size) {
  std::string part(size, '\xAA');
  TESSERA_TRY(table.ReadAt(file, begin, std::as_writable_bytes(std::span(part))));
  return part;
}

// Parts are read in another order than the contents have, from another table as well.
void CheckParts(const ZstdFrames& table, const File& file, uint64_t begin, uint64_t size) {
  const uint64_t bytes = table.bytes();
  Require(!ReadPart(table, file, bytes, 1) && !ReadPart(table, file, bytes + 1, 0));
  if (bytes > kMostContents) return;
  begin = std::min(begin, bytes);
  size = std::min(size, bytes - begin);
  const auto late = ReadPart(table, file, begin, size);
  const auto whole = ReadPart(table, file, 0, bytes);
  const auto early = ReadPart(ZstdFrames::Read(file).value(), file, begin / 2, size);
  if (!whole) return;
  Require(late.value() == whole->substr(begin, size));
  Require(early.value() == whole->substr(begin / 2, size));
}

void CheckPackedAgain(const TempDir& dir, const ZstdFrames& table, const File& file, size_t piece) {
  if (table.bytes() > kMostContents) return;
  const auto whole = ReadPart(table, file, 0, table.bytes());
  if (!whole) return;
  dir.Write("again.zst", ZstdFile(*whole, piece));
  const File again = File::OpenRead(dir / "again.zst").value();
  const ZstdFrames frames = ZstdFrames::Read(again).value();
  Require(frames.bytes() == whole->size());
  Require(ReadPart(frames, again, 0, whole->size()).value() == *whole);
}

}  // namespace

// Three bytes for a part of the contents and the size of frames, then the file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  if (size < kHead) return 0;
  dir.Write("packed.zst", AsText(data, size).substr(kHead));
  const File file = File::OpenRead(dir / "packed.zst").value();
  const auto table = ZstdFrames::Read(file);
  if (!table) return 0;
  CheckTable(*table, size - kHead);
  CheckParts(*table, file, data[0], data[1]);
  CheckPackedAgain(dir, *table, file, size_t{64} << data[2] % 8);
  return 0;
}
