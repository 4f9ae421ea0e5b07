// Token ids as people give them, in each form: what is accepted are ids of the vocabulary.
//
// An input is a JSON document: the size of the vocabulary, and the file as text or as a safetensors
// header with values.
#include <string>

#include "tests/fuzz/folder_document.h"
#include "tests/fuzz/require.h"
#include "verify/token_file.h"

namespace {

using namespace tessera;

void Check(const std::filesystem::path& path, uint32_t vocab_size) {
  const auto ids = ReadTokenFile(path, vocab_size);
  if (!ids) return;
  Require(!ids->empty() && ids->size() <= kMaxTokens);
  for (const uint32_t id : *ids) Require(id < vocab_size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  const auto document = ParseJson(AsText(data, size));
  if (!document || !document->is_object()) return 0;
  const Json vocab_size = document->value("vocab_size", Json());
  if (!vocab_size.is_number_unsigned() || vocab_size == 0) return 0;
  WriteFolder(dir, *document);
  for (const char* name : {"ids.txt", "ids.safetensors"}) {
    Check(dir / name, static_cast<uint32_t>(vocab_size.get<uint64_t>() % 100'000 + 1));
  }
  return 0;
}
