#include "convert/packed_file.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace tessera {
namespace {

// Threads take frames in order, compress them beside each other and write them one after the other.
class Packer {
 public:
  Packer(const File& from, const File& to, uint64_t bytes, const StopCheck& check)
      : from_(from), to_(to), bytes_(bytes), check_(check) {}

  Result<uint64_t> Run(Compression compression, unsigned threads) {
    std::vector<ZstdPacker> packers;
    for (unsigned i = 0; i < std::max(1u, threads); ++i) {
      TESSERA_ASSIGN(ZstdPacker packer, ZstdPacker::Make(compression));
      packers.push_back(std::move(packer));
    }
    {
      std::vector<std::jthread> workers;
      try {
        for (ZstdPacker& packer : packers) workers.emplace_back([this, &packer] { Work(packer); });
      } catch (const std::exception& e) {
        // Those that have started do all of it.
        if (workers.empty()) return Fail(ErrorCode::kMemoryBudget, e.what());
      }
    }
    if (failure_) return Fail(*std::move(failure_));
    const std::string table = RenderZstdTable(frames_);
    TESSERA_TRY(to_.WriteAt(end_, std::as_bytes(std::span(table))));
    return end_ + table.size();
  }

 private:
  void Work(ZstdPacker& packer) {
    std::vector<std::byte> piece(std::min(bytes_, kZstdFrameBytes));
    while (const std::optional<uint64_t> number = TakeFrame()) {
      const uint64_t begin = *number * kZstdFrameBytes;
      const auto contents = std::span(piece).first(std::min(kZstdFrameBytes, bytes_ - begin));
      const auto pack = [&]() -> Result<ZstdPacker::Packed> {
        TESSERA_TRY(check_());
        TESSERA_TRY(from_.ReadAt(begin, contents));
        return packer.Pack(contents, *number == 0);
      };
      Append(*number, begin, contents.size(), pack());
    }
  }

  std::optional<uint64_t> TakeFrame() {
    const std::scoped_lock lock(mutex_);
    if (failure_ || next_ * kZstdFrameBytes >= bytes_) return std::nullopt;
    return next_++;
  }

  // In the order of frames, so that the failure of the first one is reported.
  void Append(uint64_t number, uint64_t begin, uint64_t bytes,
              const Result<ZstdPacker::Packed>& packed) {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return frames_.size() == number || failure_; });
    if (failure_) return;
    if (Result<void> written = Write(begin, bytes, packed); !written) {
      failure_ = std::move(written).error();
    }
    turn_.notify_all();
  }

  Result<void> Write(uint64_t begin, uint64_t bytes, const Result<ZstdPacker::Packed>& packed) {
    if (!packed) return Fail(packed.error());
    TESSERA_TRY(to_.WriteAt(end_, packed->bytes));
    to_.StartWriteback(end_, packed->bytes.size());
    frames_.push_back({.begin = begin,
                       .packed_begin = end_,
                       .bytes = static_cast<uint32_t>(bytes),
                       .packed = static_cast<uint32_t>(packed->bytes.size()),
                       .checksum = packed->checksum});
    end_ += packed->bytes.size();
    return {};
  }

  const File& from_;
  const File& to_;
  const uint64_t bytes_;
  const StopCheck& check_;

  std::mutex mutex_;
  std::condition_variable turn_;
  uint64_t next_ = 0, end_ = 0;  // the frame to be taken next; the file's end so far
  std::vector<ZstdFrame> frames_;
  std::optional<Error> failure_;
};

}  // namespace

Result<uint64_t> PackFile(const File& from, const File& to, Compression compression,
                          unsigned threads, const StopCheck& check) {
  TESSERA_ASSIGN(const FileIdentity identity, from.Identity());
  return Packer(from, to, identity.size, check).Run(compression, threads);
}

Result<void> UnpackFile(const File& from, const File& to, const StopCheck& check) {
  TESSERA_ASSIGN(const ZstdFrames frames, ZstdFrames::Read(from));
  std::vector<std::byte> piece;
  for (const ZstdFrame& frame : frames.frames()) {
    TESSERA_TRY(check());
    piece.resize(frame.bytes);
    TESSERA_TRY(frames.ReadAt(from, frame.begin, piece));
    TESSERA_TRY(to.WriteAt(frame.begin, piece));
    to.StartWriteback(frame.begin, piece.size());
  }
  return {};
}

}  // namespace tessera
