// Seekable zstd as zstd's contrib/seekable_format describes it: contents cut into pieces, each a
// zstd frame of its own, and at the end, in a skippable frame, a table of their sizes and
// checksums. Any zstd decoder unpacks the whole; the table leads to a part of it.
//
// Frames may hold byte planes (byte_planes.h) instead, marked by a dictionary ID that no dictionary
// has: decoders that know nothing of planes refuse them. The checksums are those of the contents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

// What is written. Larger frames compress hardly better, and reading a part unpacks whole ones.
inline constexpr uint64_t kZstdFrameBytes = uint64_t{1} << 20;
// What is read: bounds what a hostile file can make us allocate.
inline constexpr uint64_t kMaxZstdFrameBytes = uint64_t{64} << 20;
inline constexpr uint64_t kMaxZstdFrames = uint64_t{1} << 22;

inline constexpr int kDefaultZstdLevel = 3;
inline constexpr int kMaxZstdLevel = 19;

// How a file is compressed.
struct Compression {
  int level = 0;        // 1 to kMaxZstdLevel; 0: not at all
  bool planes = false;  // byte planes where they pay, and of the first frame always

  explicit operator bool() const { return level != 0; }
};
// "zstd:3", "zstd-planes:3".
std::string ToString(Compression compression);

struct ZstdFrame {
  uint64_t begin = 0;         // in the contents
  uint64_t packed_begin = 0;  // in the file
  uint32_t bytes = 0, packed = 0;
  uint32_t checksum = 0;  // low half of the contents' XXH64
};

// The frames of one file. Immutable, hence shareable between threads.
class ZstdFrames {
 public:
  // Reads the table at the file's end and a few bytes at its begin. kUnsupported if there is no
  // table, frames too large to be read in parts, or planes that are not known; kBadOffsets if its
  // sizes do not fill the file exactly.
  static Result<ZstdFrames> Read(const File& file);

  uint64_t bytes() const { return bytes_; }  // of the contents
  std::span<const ZstdFrame> frames() const { return frames_; }
  bool planes() const { return planes_; }  // `zstd -d` does not unpack it

  // Fills `out` from `offset` of the contents. A frame that is not what the table says is
  // kReadFailed. Each thread keeps the frame that it last needed a part of.
  Result<void> ReadAt(const File& file, uint64_t offset, std::span<std::byte> out) const;

 private:
  // `out` has the frame's size.
  Result<void> Unpack(const File& file, const ZstdFrame& frame, std::span<std::byte> out) const;

  std::vector<ZstdFrame> frames_;  // by begin
  uint64_t bytes_ = 0;
  uint64_t id_ = 0;  // no other table's
  bool has_checksums_ = false;
  bool planes_ = false;
};

// Makes frames; one thread's. The same piece gives the same bytes with one version of libzstd.
class ZstdPacker {
 public:
  // kMemoryBudget if there is not enough memory.
  static Result<ZstdPacker> Make(Compression compression);
  // What one of them and its piece hold, at most.
  static uint64_t BytesFor(Compression compression);

  // Of at most kZstdFrameBytes. The bytes hold until the next call.
  struct Packed {
    std::span<const std::byte> bytes;
    uint32_t checksum;
  };
  Result<Packed> Pack(std::span<const std::byte> piece, bool first);
  uint64_t HeldBytes() const;

 private:
  struct Free {
    void operator()(void* context) const;
  };
  // What becomes of a piece.
  struct Coding {
    unsigned width = 1;    // of the words whose planes are compressed; 1: the piece as it is
    bool by_level = true;  // else repetitions are hardly looked for
  };

  ZstdPacker() = default;
  Result<Coding> Choose(std::span<const std::byte> piece);
  Result<std::span<const std::byte>> Compress(std::span<const std::byte> piece, Coding coding);
  Result<std::span<const std::byte>> CompressTo(std::span<std::byte> room,
                                                std::span<const std::byte> contents);

  Compression compression_;
  std::unique_ptr<void, Free> context_;
  std::vector<std::byte> buffer_, planes_, sample_;
};

// The table that ends a file of these frames.
std::string RenderZstdTable(std::span<const ZstdFrame> frames);

// The most that contents of this size become, table included.
uint64_t ZstdBound(uint64_t bytes);

}  // namespace tessera
