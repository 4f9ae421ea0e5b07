// tiktoken.model with the program and the config beside it: what is accepted encodes any text, the
// same way each time, to ids that it has, and can be written into a GGUF file or says why not.
//
// An input is the folder as one JSON document; a model that is a list has a piece for each byte and
// then those.
#include <string>

#include "formats/gguf.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_spec.h"
#include "tests/fuzz/folder_document.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

constexpr const char* kTexts[] = {"", "a", "Hello, world!\n\n  42 x", "[BOS]ab[EOS]<|im_end|>",
                                  "\xF0\x9F\x98\x80\xE4\xB8\xAD"};

std::string Base64OfByte(uint32_t byte) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return {kDigits[byte >> 2], kDigits[(byte & 3) << 4], '=', '='};
}

std::string ModelText(const Json& pieces) {
  std::string text;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    text += Base64OfByte(byte) + " " + std::to_string(byte) + "\n";
  }
  uint32_t rank = 256;
  for (const Json& piece : pieces) {
    if (!piece.is_string()) continue;
    text += piece.get<std::string>() + " " + std::to_string(rank++) + "\n";
  }
  return text;
}

void CheckEncodes(const Tokenizer& tokenizer, const TokenizerSpec& spec) {
  const uint64_t ids_end = spec.vocabulary.id_limit() + spec.added.size();
  for (const char* text : kTexts) {
    const auto ids = tokenizer.Encode(text);
    Require(ids && tokenizer.Encode(text).value() == *ids);
    for (const uint32_t id : *ids) Require(id < ids_end);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  auto document = ParseJson(AsText(data, size));
  if (!document || !document->is_object()) return 0;
  if (const auto model = document->find("tiktoken.model");
      model != document->end() && model->is_array()) {
    *model = ModelText(*model);
  }
  WriteFolder(dir, *document);
  const auto spec = ReadTokenizerSpec(dir.path());
  const auto tokenizer = Tokenizer::Open(dir.path());
  if (!tokenizer) return 0;
  CheckEncodes(*tokenizer, spec.value());
  const Json config = {{"vocab_size", spec->vocabulary.id_limit() + spec->added.size()}};
  if (const auto metadata = TokenizerMetadata(dir.path(), config)) {
    Require(RenderGgufHeader(*metadata, {}).has_value());
  }
  return 0;
}
