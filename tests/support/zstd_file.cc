#include "tests/support/zstd_file.h"

#include <span>
#include <vector>

namespace tessera {

std::string ZstdFile(const std::string& contents, size_t piece, Compression compression) {
  ZstdPacker packer = *ZstdPacker::Make(compression);
  std::vector<ZstdFrame> frames;
  std::string file;
  for (size_t begin = 0; begin < contents.size(); begin += piece) {
    const std::string part = contents.substr(begin, piece);
    const ZstdPacker::Packed packed = *packer.Pack(std::as_bytes(std::span(part)), begin == 0);
    frames.push_back({.begin = begin,
                      .packed_begin = file.size(),
                      .bytes = static_cast<uint32_t>(part.size()),
                      .packed = static_cast<uint32_t>(packed.bytes.size()),
                      .checksum = packed.checksum});
    file.append(reinterpret_cast<const char*>(packed.bytes.data()), packed.bytes.size());
  }
  return file + RenderZstdTable(frames);
}

std::string UnpackedOrRule(const File& file) {
  const auto frames = ZstdFrames::Read(file);
  if (!frames) return std::string(Name(frames.error().code()));
  std::string text(frames->bytes(), '\0');
  const auto read = frames->ReadAt(file, 0, std::as_writable_bytes(std::span(text)));
  return read ? text : std::string(Name(read.error().code()));
}

}  // namespace tessera
