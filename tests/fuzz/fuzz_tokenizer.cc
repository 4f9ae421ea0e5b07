// tokenizer.json: one that is accepted encodes any text, the same way each time, to ids that it
// has, and can be written into a GGUF file or says why not.
#include <filesystem>
#include <string>

#include "formats/gguf.h"
#include "formats/json.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_spec.h"
#include "tests/fuzz/require.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace tessera;

constexpr const char* kTexts[] = {
    "",
    "a",
    "Hello, world!\n\n  42 x",
    "<s>ab</s><|x|>",
    "\xF0\x9F\x98\x80\xE4\xB8\xAD\xE6\x96\x87",
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  dir.Write("tokenizer.json", AsText(data, size));
  const auto spec = ReadTokenizerSpec(dir.path());
  const auto tokenizer = Tokenizer::Open(dir.path());
  if (!tokenizer) return 0;
  Require(spec.has_value());
  for (const char* text : kTexts) {
    const auto ids = tokenizer->Encode(text);
    Require(ids.has_value());
    Require(tokenizer->Encode(text).value() == *ids);
  }
  const Json config = {{"vocab_size", spec->vocabulary.id_limit() + spec->added.size()}};
  if (const auto metadata = TokenizerMetadata(dir.path(), config)) {
    Require(RenderGgufHeader(*metadata, {}).has_value());
  }
  return 0;
}
