#include "formats/zstd_frames.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "formats/byte_planes.h"

namespace tessera {
namespace {

// The table: a skippable frame's magic and size, an entry a frame, a footer.
constexpr uint32_t kSkippableMagic = 0x184D2A5E;
constexpr uint32_t kSeekableMagic = 0x8F92EAB1;
constexpr uint64_t kHeadBytes = 8, kFooterBytes = 9;
constexpr uint64_t kEntryBytes = 8, kChecksumBytes = 4;
constexpr uint8_t kHasChecksums = 0x80, kReservedBits = 0x7C;

// The head of a zstd frame: a magic, a byte that describes it, the window where there is one, and
// the dictionary's ID, whose range here is for private use: 'pln' above the width of words.
constexpr uint32_t kFrameMagic = 0xFD2FB528;
constexpr uint64_t kMagicBytes = 4, kIdBytes = 4, kMostHeadBytes = kMagicBytes + 2 + kIdBytes;
constexpr std::byte kSingleSegment{0x20}, kIdOfFourBytes{0x03};
constexpr uint32_t kPlanes = 0x6E6C7000, kWidthBits = 0xFF;

// Each plane is a zstd frame of its own, the first of which is marked: within one, the coding of
// its symbols is shared by 128 KiB, of which a plane may have less.
//
// Planes are noise or runs, which the least table of zstd's levels finds: what larger ones find in
// noise costs more than it saves, and most of the time. Of BF16 this gives 1.51 instead of the 1.43
// of level 3, five times as fast.
constexpr int kPlanesLevel = 1, kLeastHashLog = 6;
// A piece is judged by a few parts of it, and split if that saves a thirty-second.
constexpr uint64_t kSampleParts = 4, kSamplePartBytes = uint64_t{16} << 10;
constexpr uint64_t kWorthSplitting = 32;

// What a piece becomes at most. Small frames exceed what they hold by a little more.
uint64_t PackedBound() {
  constexpr uint64_t kMostPlanes = 4;
  return kIdBytes +
         std::max<uint64_t>(
             ZSTD_compressBound(kZstdFrameBytes),
             kMostPlanes * ZSTD_compressBound(kZstdFrameBytes / kMostPlanes + kMostPlanes));
}

uint32_t Number(std::span<const std::byte> bytes, uint64_t at) {
  uint32_t value = 0;
  for (uint64_t i = 4; i-- > 0;) value = value << 8 | std::to_integer<uint32_t>(bytes[at + i]);
  return value;
}

void Append(std::string& bytes, uint32_t value) {
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i));
}

uint32_t ChecksumOf(std::span<const std::byte> contents) {
  return static_cast<uint32_t>(XXH64(contents.data(), contents.size(), 0));
}

Result<std::vector<std::byte>> ReadBytes(const File& file, uint64_t begin, uint64_t size) {
  std::vector<std::byte> bytes(size);
  TESSERA_TRY(file.ReadAt(begin, bytes));
  return bytes;
}

Error BadTable(const File& file, std::string what) {
  return Error(ErrorCode::kBadOffsets, std::move(what))
      .In(file.path().string())
      .Next("the file is damaged or incomplete: fetch it again");
}

// Where a frame that describes itself so has its dictionary's ID.
uint64_t PlaceOfId(std::byte description) {
  return kMagicBytes + 1 + ((description & kSingleSegment) == kSingleSegment ? 0 : 1);
}

// The width of the words whose planes a frame holds; 1: it is as any other.
Result<unsigned> WidthOf(const File& file, std::span<const std::byte> frame) {
  if (frame.size() < kMostHeadBytes || Number(frame, 0) != kFrameMagic) return 1;
  const std::byte description = frame[kMagicBytes];
  if ((description & kIdOfFourBytes) != kIdOfFourBytes) return 1;
  const uint32_t id = Number(frame, PlaceOfId(description));
  if ((id & ~kWidthBits) != kPlanes) return 1;
  const uint32_t width = id & kWidthBits;
  if (width == 2 || width == 4) return width;
  return Fail(Error(ErrorCode::kUnsupported, "a compressed frame holds planes of unknown words")
                  .In(file.path().string())
                  .Expected("words of 2 or 4 bytes")
                  .Found("words of " + std::to_string(width) + " bytes")
                  .Next("read it with the version that wrote it, or fetch it again"));
}

// Makes of a frame that has an ID of ours one that any decoder takes.
std::span<const std::byte> WithoutId(std::span<std::byte> frame) {
  const uint64_t place = PlaceOfId(frame[kMagicBytes]);
  frame[kMagicBytes] &= ~kIdOfFourBytes;
  std::memmove(frame.data() + kIdBytes, frame.data(), place);
  return frame.subspan(kIdBytes);
}

// What a thread unpacks with, and the frame that it last needed a part of.
struct Unpacker {
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
  std::vector<std::byte> packed, planes, frame;
  uint64_t frame_of = 0;  // ZstdFrames::id_; 0: none
  uint64_t frame_begin = 0;
};

Unpacker& ThreadsUnpacker() {
  thread_local Unpacker unpacker;
  return unpacker;
}

// Where the table begins, how many frames it lists and how large its entries are.
struct TableShape {
  uint64_t begin = 0, frames = 0, entry = 0;
};

Result<TableShape> FindTable(const File& file, uint64_t size) {
  std::vector<std::byte> footer;
  if (size >= kHeadBytes + kFooterBytes) {
    TESSERA_ASSIGN(footer, ReadBytes(file, size - kFooterBytes, kFooterBytes));
  }
  if (footer.empty() || Number(footer, 5) != kSeekableMagic) {
    return Fail(Error(ErrorCode::kUnsupported, "a compressed file without a seek table at its end")
                    .In(file.path().string())
                    .Expected("seekable zstd")
                    .Next("complete the download; or unpack what another tool packed: zstd -d"));
  }
  const auto flags = std::to_integer<uint8_t>(footer[4]);
  if ((flags & kReservedBits) != 0) {
    return Fail(BadTable(file, "the seek table is of a kind that does not exist"));
  }
  const TableShape table{
      .begin = 0,
      .frames = Number(footer, 0),
      .entry = kEntryBytes + ((flags & kHasChecksums) != 0 ? kChecksumBytes : 0)};
  if (table.frames > kMaxZstdFrames) {
    return Fail(Error(ErrorCode::kUnsupported, "a compressed file of too many frames")
                    .In(file.path().string())
                    .Expected("at most " + std::to_string(kMaxZstdFrames))
                    .Found(std::to_string(table.frames)));
  }
  const uint64_t contents = table.frames * table.entry + kFooterBytes;
  const auto wrong = BadTable(file, "the seek table does not say its own size");
  if (size < kHeadBytes + contents) return Fail(wrong);
  const uint64_t begin = size - kHeadBytes - contents;
  TESSERA_ASSIGN(const std::vector<std::byte> head, ReadBytes(file, begin, kHeadBytes));
  if (Number(head, 0) != kSkippableMagic || Number(head, 4) != contents) return Fail(wrong);
  return TableShape{.begin = begin, .frames = table.frames, .entry = table.entry};
}

}  // namespace

std::string ToString(Compression compression) {
  return (compression.planes ? "zstd-planes:" : "zstd:") + std::to_string(compression.level);
}

Result<ZstdFrames> ZstdFrames::Read(const File& file) {
  static std::atomic<uint64_t> last_id = 0;
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  TESSERA_ASSIGN(const TableShape shape, FindTable(file, identity.size));
  TESSERA_ASSIGN(const std::vector<std::byte> entries,
                 ReadBytes(file, shape.begin + kHeadBytes, shape.frames * shape.entry));
  ZstdFrames table;
  table.id_ = ++last_id;
  table.has_checksums_ = shape.entry > kEntryBytes;
  table.frames_.reserve(shape.frames);
  uint64_t packed = 0;
  for (uint64_t at = 0; at < entries.size(); at += shape.entry) {
    const ZstdFrame frame{.begin = table.bytes_,
                          .packed_begin = packed,
                          .bytes = Number(entries, at + 4),
                          .packed = Number(entries, at),
                          .checksum = table.has_checksums_ ? Number(entries, at + kEntryBytes) : 0};
    if (std::max(frame.bytes, frame.packed) > kMaxZstdFrameBytes) {
      return Fail(Error(ErrorCode::kUnsupported, "a compressed frame is too large to read parts of")
                      .In(file.path().string())
                      .Expected("at most " + std::to_string(kMaxZstdFrameBytes) + " bytes a frame")
                      .Found(std::to_string(std::max(frame.bytes, frame.packed)) + " bytes")
                      .Next("unpack it: zstd -d"));
    }
    table.frames_.push_back(frame);
    table.bytes_ += frame.bytes;
    packed += frame.packed;
  }
  if (packed != shape.begin) {
    return Fail(BadTable(file, "the seek table's frames do not fill the file")
                    .Expected(std::to_string(packed) + " bytes before the table")
                    .Found(std::to_string(shape.begin) + " bytes"));
  }
  if (!table.frames_.empty()) {
    const uint64_t size = std::min<uint64_t>(kMostHeadBytes, table.frames_[0].packed);
    TESSERA_ASSIGN(const std::vector<std::byte> head, ReadBytes(file, 0, size));
    TESSERA_ASSIGN(const unsigned width, WidthOf(file, head));
    table.planes_ = width != 1;
  }
  return table;
}

Result<void> ZstdFrames::Unpack(const File& file, const ZstdFrame& frame,
                                std::span<std::byte> out) const {
  Unpacker& unpacker = ThreadsUnpacker();
  const auto damaged = [&](std::string found) {
    return Fail(Error(ErrorCode::kReadFailed, "a compressed frame is damaged")
                    .In(file.path().string())
                    .Expected(std::to_string(frame.bytes) + " bytes, compressed at " +
                              std::to_string(frame.packed_begin))
                    .Found(std::move(found))
                    .Next(planes_ ? "fetch the file again"
                                  : "fetch the file again; all of it is checked by: zstd -t"));
  };
  if (!unpacker.context) return Fail(ErrorCode::kMemoryBudget, "memory ran out");
  unpacker.packed.resize(std::max<size_t>(unpacker.packed.size(), frame.packed));
  const auto packed = std::span(unpacker.packed).first(frame.packed);
  TESSERA_TRY(file.ReadAt(frame.packed_begin, packed));
  TESSERA_ASSIGN(const unsigned width, WidthOf(file, packed));
  if (width != 1 && !planes_) return damaged("byte planes, which the first frame does not have");
  if (width != 1) {
    unpacker.planes.resize(std::max(unpacker.planes.size(), out.size()));
  }
  const auto place = width == 1 ? out : std::span(unpacker.planes).first(out.size());
  const auto plain = width == 1 ? packed : WithoutId(packed);
  const size_t size = ZSTD_decompressDCtx(unpacker.context.get(), place.data(), place.size(),
                                          plain.data(), plain.size());
  if (ZSTD_isError(size)) return damaged(ZSTD_getErrorName(size));
  if (size != out.size()) return damaged(std::to_string(size) + " bytes");
  if (width != 1) JoinPlanes(place, width, out);
  if (has_checksums_ && ChecksumOf(out) != frame.checksum) return damaged("another checksum");
  return {};
}

Result<void> ZstdFrames::ReadAt(const File& file, uint64_t offset, std::span<std::byte> out) const {
  if (offset > bytes_ || out.size() > bytes_ - offset) {
    return Fail(
        Error(ErrorCode::kTruncated, "the compressed file's contents end too early")
            .In(file.path().string())
            .Expected(std::to_string(out.size()) + " bytes at byte " + std::to_string(offset))
            .Found(std::to_string(bytes_) + " bytes in all"));
  }
  Unpacker& unpacker = ThreadsUnpacker();
  // The last frame that begins at or before the offset; ones without contents come before it.
  auto frame = std::ranges::upper_bound(frames_, offset, {}, &ZstdFrame::begin);
  for (frame -= frame == frames_.begin() ? 0 : 1; !out.empty(); ++frame) {
    const uint64_t skip = offset - frame->begin;
    const auto part = out.first(std::min<uint64_t>(out.size(), frame->bytes - skip));
    if (part.size() == frame->bytes) {
      TESSERA_TRY(Unpack(file, *frame, part));
    } else {
      if (unpacker.frame_of != id_ || unpacker.frame_begin != frame->begin) {
        unpacker.frame_of = 0;
        unpacker.frame.resize(frame->bytes);
        TESSERA_TRY(Unpack(file, *frame, unpacker.frame));
        unpacker.frame_of = id_;
        unpacker.frame_begin = frame->begin;
      }
      std::memcpy(part.data(), unpacker.frame.data() + skip, part.size());
    }
    offset += part.size();
    out = out.subspan(part.size());
  }
  return {};
}

void ZstdPacker::Free::operator()(void* context) const {
  ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(context));
}

Result<ZstdPacker> ZstdPacker::Make(Compression compression) {
  TESSERA_CHECK(compression.level >= 1 && compression.level <= kMaxZstdLevel);
  ZstdPacker packer;
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  packer.compression_ = compression;
  packer.context_.reset(context);
  if (context == nullptr) return Fail(ErrorCode::kMemoryBudget, "memory ran out");
  // For those who unpack without the table.
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  packer.buffer_.resize(PackedBound());
  if (compression.planes) {
    packer.planes_.resize(kZstdFrameBytes);
    packer.sample_.reserve(kSampleParts * kSamplePartBytes);
  }
  return packer;
}

uint64_t ZstdPacker::BytesFor(Compression compression) {
  const uint64_t context = compression.level <= 3 ? 2 : compression.level <= 8 ? 7 : 18;
  const uint64_t planes =
      compression.planes ? kZstdFrameBytes + kSampleParts * kSamplePartBytes : 0;
  return (context << 20) + kZstdFrameBytes + PackedBound() + planes;
}

uint64_t ZstdPacker::HeldBytes() const {
  return ZSTD_sizeof_CCtx(static_cast<const ZSTD_CCtx*>(context_.get())) + buffer_.size() +
         planes_.size() + sample_.capacity();
}

Result<ZstdPacker::Packed> ZstdPacker::Pack(std::span<const std::byte> piece, bool first) {
  TESSERA_CHECK(piece.size() <= kZstdFrameBytes);
  Coding coding;
  if (compression_.planes) {
    TESSERA_ASSIGN(coding, Choose(piece));
    // So that the file says what it is, and other decoders refuse it at once. Words of two bytes
    // would make even one that does not find no header: its length's fifth byte would be that of
    // the brace behind it.
    if (first) coding.width = 2;
  }
  TESSERA_ASSIGN(const std::span<const std::byte> packed, Compress(piece, coding));
  return Packed{packed, ChecksumOf(piece)};
}

Result<ZstdPacker::Coding> ZstdPacker::Choose(std::span<const std::byte> piece) {
  std::span<const std::byte> sample = piece;
  if (piece.size() > kSampleParts * kSamplePartBytes) {
    sample_.clear();
    for (uint64_t i = 0; i < kSampleParts; ++i) {
      const uint64_t begin = piece.size() / kSampleParts * i / 4 * 4;  // where a word begins
      const auto part = piece.subspan(begin, kSamplePartBytes);
      sample_.insert(sample_.end(), part.begin(), part.end());
    }
    sample = sample_;
  }
  Coding best;
  TESSERA_ASSIGN(const auto whole, Compress(sample, best));
  uint64_t least = whole.size() - whole.size() / kWorthSplitting;
  for (const unsigned width : {2u, 4u}) {
    const Coding coding{.width = width, .by_level = false};
    TESSERA_ASSIGN(const auto planes, Compress(sample, coding));
    if (planes.size() >= least) continue;
    least = planes.size();
    best = coding;
  }
  return best;
}

Result<std::span<const std::byte>> ZstdPacker::Compress(std::span<const std::byte> piece,
                                                        Coding coding) {
  auto* const context = static_cast<ZSTD_CCtx*>(context_.get());
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel,
                         coding.by_level ? compression_.level : kPlanesLevel);
  ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, coding.by_level ? 0 : kLeastHashLog);
  const auto room = std::span(buffer_).subspan(kIdBytes);
  if (coding.width == 1) return CompressTo(room, piece);
  const auto planes = std::span(planes_).first(piece.size());
  SplitPlanes(piece, coding.width, planes);
  uint64_t size = 0;
  const uint64_t plane_bytes = piece.size() / coding.width;
  for (unsigned plane = 0; plane < coding.width; ++plane) {
    const bool last = plane + 1 == coding.width;
    const auto part = planes.subspan(plane * plane_bytes, last ? std::dynamic_extent : plane_bytes);
    TESSERA_ASSIGN(const auto frame, CompressTo(room.subspan(size), part));
    size += frame.size();
  }
  const uint64_t place = PlaceOfId(room[kMagicBytes]);
  std::memmove(buffer_.data(), room.data(), place);
  buffer_[kMagicBytes] |= kIdOfFourBytes;
  std::string id;
  Append(id, kPlanes | coding.width);
  std::ranges::copy(std::as_bytes(std::span(id)), buffer_.begin() + static_cast<ptrdiff_t>(place));
  return std::span(buffer_).first(kIdBytes + size);
}

Result<std::span<const std::byte>> ZstdPacker::CompressTo(std::span<std::byte> room,
                                                          std::span<const std::byte> contents) {
  const size_t size = ZSTD_compress2(static_cast<ZSTD_CCtx*>(context_.get()), room.data(),
                                     room.size(), contents.data(), contents.size());
  // There is room for anything: only memory can be missing.
  if (ZSTD_isError(size)) {
    return Fail(
        Error(ErrorCode::kMemoryBudget, "compressing failed").Found(ZSTD_getErrorName(size)));
  }
  return room.first(size);
}

std::string RenderZstdTable(std::span<const ZstdFrame> frames) {
  std::string table;
  Append(table, kSkippableMagic);
  const uint64_t contents = frames.size() * (kEntryBytes + kChecksumBytes) + kFooterBytes;
  Append(table, static_cast<uint32_t>(contents));
  for (const ZstdFrame& frame : frames) {
    Append(table, frame.packed);
    Append(table, frame.bytes);
    Append(table, frame.checksum);
  }
  Append(table, static_cast<uint32_t>(frames.size()));
  table += static_cast<char>(kHasChecksums);
  Append(table, kSeekableMagic);
  return table;
}

uint64_t ZstdBound(uint64_t bytes) {
  const uint64_t frames = bytes / kZstdFrameBytes + 1;
  return frames * (PackedBound() + kEntryBytes + kChecksumBytes) + kHeadBytes + kFooterBytes;
}

}  // namespace tessera
