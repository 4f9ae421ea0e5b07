// What stands beside a tokenizer: its config, special tokens and chat templates. They are refused,
// or their tokens have embeddings and GGUF's keys can be written; whatever a token's text is, it is
// shown without steering a terminal.
//
// An input is the folder as one JSON document. A tokenizer.json without pieces gets the 256 that
// every byte needs, so that inputs stay small.
#include <algorithm>
#include <string>
#include <vector>

#include "formats/byte_spelling.h"
#include "formats/chat_template.h"
#include "formats/gguf.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_spec.h"
#include "tests/fuzz/folder_document.h"
#include "tests/fuzz/require.h"
#include "verify/token_texts.h"

namespace {

using namespace tessera;

constexpr uint64_t kMostTokens = 2000;  // larger vocabularies take longer, and are the same

Json BytePieces() {
  Json pieces = Json::object();
  for (uint32_t byte = 0; byte < 256; ++byte) {
    pieces[SpellBytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  return pieces;
}

void AddPieces(Json& document) {
  static const Json pieces = BytePieces();
  const auto tokenizer = document.find("tokenizer.json");
  if (tokenizer == document.end() || !tokenizer->is_object()) return;
  const auto model = tokenizer->find("model");
  if (model == tokenizer->end() || !model->is_object() || model->contains("vocab")) return;
  (*model)["vocab"] = pieces;
}

void CheckMetadata(const std::filesystem::path& folder, const Json& document) {
  const auto config = document.find("config.json");
  if (config == document.end() || !config->is_object()) return;
  const auto vocab_size = config->value("vocab_size", Json());
  if (vocab_size.is_number_unsigned() && vocab_size.get<uint64_t>() > kMostTokens) return;
  const auto metadata = TokenizerMetadata(folder, *config);
  if (!metadata) return;
  for (const auto& [key, value] : *metadata) {
    const auto* const id = std::get_if<uint32_t>(&value);
    Require(id == nullptr || *id < vocab_size.get<uint64_t>());
  }
  const auto header = RenderGgufHeader(*metadata, {});
  Require(header.has_value());
  const auto again = ParseGgufHeader(*header, header->size());
  Require(again && again->metadata == *metadata);
}

void CheckShown(const std::string& text) {
  Require(text.size() >= 2 && !FindNonUtf8(text));
  Require(std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
}

void CheckTexts(const std::filesystem::path& folder) {
  std::vector<uint32_t> ids;
  for (uint32_t id = 0; id < 300; ++id) ids.push_back(id);
  for (const auto& [id, text] : TextsOf(folder, ids)) CheckShown(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  CheckShown(QuotedText(AsText(data, std::min<size_t>(size, 64))));
  auto document = ParseJson(AsText(data, size));
  if (!document || !document->is_object()) return 0;
  AddPieces(*document);
  WriteFolder(dir, *document);
  const auto config = document->find("tokenizer_config.json");
  if (config != document->end() && config->is_object()) ReadChatTemplates(dir.path(), *config);
  if (const auto tokenizer = Tokenizer::Open(dir.path())) {
    Require(tokenizer->Encode("<s>Hello</s>\n").has_value());
  }
  CheckMetadata(dir.path(), *document);
  CheckTexts(dir.path());
  return 0;
}
