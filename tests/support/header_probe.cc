// What the readers make of safetensors files and indexes (*.index.json), for tests in Python: paths
// on stdin, a line each; for each the rule that refuses it, or "ok".
#include <iostream>
#include <string>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "formats/shard_index.h"

namespace tessera {
namespace {

Result<void> Read(const std::string& path) {
  if (path.ends_with(".index.json")) {
    TESSERA_TRY(ReadShardIndex(path));
    return {};
  }
  TESSERA_ASSIGN(const File file, File::OpenRead(path));
  TESSERA_TRY(ReadSafetensorsHeader(file));
  return {};
}

std::string Verdict(const std::string& path) {
  const Result<void> read = Read(path);
  return read ? "ok" : std::string(Name(read.error().code()));
}

}  // namespace
}  // namespace tessera

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    std::cout << tessera::Verdict(path) << "\n";
  }
}
