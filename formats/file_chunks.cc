#include "formats/file_chunks.h"

#include <algorithm>
#include <vector>

namespace tessera {

Result<uint64_t> ReadInChunks(const File& file, const StopCheck& check, const ChunkUse& use) {
  constexpr uint64_t kChunk = uint64_t{1} << 20;
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  std::vector<std::byte> buffer(std::min(identity.size, kChunk));
  for (uint64_t at = 0; at < identity.size; at += buffer.size()) {
    const auto chunk =
        std::span(buffer).first(std::min<uint64_t>(buffer.size(), identity.size - at));
    TESSERA_TRY(check());
    TESSERA_TRY(file.ReadAt(at, chunk));
    TESSERA_TRY(use(at, chunk));
  }
  return identity.size;
}

}  // namespace tessera
