#include "formats/zstd_frames.h"

#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace tessera {
namespace {

// The table: a skippable frame's magic and size, an entry a frame, a footer.
constexpr uint32_t kSkippableMagic = 0x184D2A5E;
constexpr uint32_t kSeekableMagic = 0x8F92EAB1;
constexpr uint64_t kHeadBytes = 8, kFooterBytes = 9;
constexpr uint64_t kEntryBytes = 8, kChecksumBytes = 4;
constexpr uint8_t kHasChecksums = 0x80, kReservedBits = 0x7C;

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

// What a thread unpacks with, and the frame that it last needed a part of.
struct Unpacker {
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
  std::vector<std::byte> packed, frame;
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
                    .Next("fetch the file again; all of it is checked by: zstd -t"));
  };
  if (!unpacker.context) return Fail(ErrorCode::kMemoryBudget, "memory ran out");
  unpacker.packed.resize(std::max<size_t>(unpacker.packed.size(), frame.packed));
  const auto packed = std::span(unpacker.packed).first(frame.packed);
  TESSERA_TRY(file.ReadAt(frame.packed_begin, packed));
  const size_t size = ZSTD_decompressDCtx(unpacker.context.get(), out.data(), out.size(),
                                          packed.data(), packed.size());
  if (ZSTD_isError(size)) return damaged(ZSTD_getErrorName(size));
  if (size != out.size()) return damaged(std::to_string(size) + " bytes");
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

Result<ZstdPacker> ZstdPacker::Make(int level) {
  TESSERA_CHECK(level >= 1 && level <= kMaxZstdLevel);
  ZstdPacker packer;
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  packer.context_.reset(context);
  if (context == nullptr) return Fail(ErrorCode::kMemoryBudget, "memory ran out");
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
  // For those who unpack without the table.
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  packer.buffer_.resize(ZSTD_compressBound(kZstdFrameBytes));
  return packer;
}

uint64_t ZstdPacker::BytesFor(int level) {
  const uint64_t context = level <= 3 ? 2 : level <= 8 ? 7 : 18;
  return (context << 20) + kZstdFrameBytes + ZSTD_compressBound(kZstdFrameBytes);
}

uint64_t ZstdPacker::HeldBytes() const {
  return ZSTD_sizeof_CCtx(static_cast<const ZSTD_CCtx*>(context_.get())) + buffer_.size();
}

Result<ZstdPacker::Packed> ZstdPacker::Pack(std::span<const std::byte> piece) {
  TESSERA_CHECK(piece.size() <= kZstdFrameBytes);
  const size_t size = ZSTD_compress2(static_cast<ZSTD_CCtx*>(context_.get()), buffer_.data(),
                                     buffer_.size(), piece.data(), piece.size());
  // The buffer is large enough for anything: only memory can be missing.
  if (ZSTD_isError(size)) {
    return Fail(
        Error(ErrorCode::kMemoryBudget, "compressing failed").Found(ZSTD_getErrorName(size)));
  }
  return Packed{std::span(buffer_).first(size), ChecksumOf(piece)};
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
  return frames * (ZSTD_compressBound(kZstdFrameBytes) + kEntryBytes + kChecksumBytes) +
         kHeadBytes + kFooterBytes;
}

}  // namespace tessera
