// How small --compress makes a file, and how fast one core packs and reads it: everything in memory
// but the file of frames, which is read from where it is written. Prints a line a way.
//
//   tessera_bench_compress FILE SCRATCH
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/zstd_frames.h"

namespace tessera {
namespace {

constexpr int kTurns = 3;

// Of the CPU: others may be busy.
double Seconds(auto work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

std::string PackAll(std::span<const std::byte> contents, Compression compression) {
  ZstdPacker packer = *ZstdPacker::Make(compression);
  std::vector<ZstdFrame> frames;
  std::string packed;
  for (size_t at = 0; at < contents.size(); at += kZstdFrameBytes) {
    const auto piece = contents.subspan(at, std::min(kZstdFrameBytes, contents.size() - at));
    const ZstdPacker::Packed done = *packer.Pack(piece, at == 0);
    frames.push_back({.begin = at,
                      .packed_begin = packed.size(),
                      .bytes = static_cast<uint32_t>(piece.size()),
                      .packed = static_cast<uint32_t>(done.bytes.size()),
                      .checksum = done.checksum});
    packed.append(reinterpret_cast<const char*>(done.bytes.data()), done.bytes.size());
  }
  return packed + RenderZstdTable(frames);
}

// False if what is read is not what was packed.
bool Measure(const std::vector<std::byte>& contents, Compression compression,
             const std::filesystem::path& scratch) {
  std::string packed;
  double pack = 1e9, read = 1e9;
  for (int turn = 0; turn < kTurns; ++turn) {
    pack = std::min(pack, Seconds([&] { packed = PackAll(contents, compression); }));
  }
  std::filesystem::remove(scratch);
  const File file = *File::Create(scratch);
  if (!file.WriteAt(0, std::as_bytes(std::span(packed)))) return false;
  const File opened = *File::OpenRead(scratch);
  const ZstdFrames frames = *ZstdFrames::Read(opened);
  std::vector<std::byte> back(contents.size());
  bool good = true;
  for (int turn = 0; turn < kTurns; ++turn) {
    read = std::min(read, Seconds([&] { good = frames.ReadAt(opened, 0, back).has_value(); }));
  }
  std::filesystem::remove(scratch);
  const auto bytes = static_cast<double>(contents.size());
  std::printf("%-14s  ratio %.3f  packs %5.0f MB/s  reads %5.0f MB/s\n",
              ToString(compression).c_str(), bytes / static_cast<double>(packed.size()),
              bytes / pack / 1e6, bytes / read / 1e6);
  return good && back == contents;
}

int Run(const std::filesystem::path& path, const std::filesystem::path& scratch) {
  const File file = *File::OpenRead(path);
  std::vector<std::byte> contents(file.Identity()->size);
  if (!file.ReadAt(0, contents)) return 1;
  for (const int level : {1, 3, 9}) {
    for (const bool planes : {false, true}) {
      if (!Measure(contents, {.level = level, .planes = planes}, scratch)) return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) { return argc == 3 ? tessera::Run(argv[1], argv[2]) : 2; }
