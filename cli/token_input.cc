#include "cli/token_input.h"

#include "formats/file.h"
#include "formats/tokenizer.h"
#include "verify/token_file.h"

namespace tessera::cli {
namespace {

// Encodes a text and checks the ids against the model, which may have been given a foreign
// tokenizer.
Result<std::vector<uint32_t>> EncodeFile(const std::filesystem::path& text_file,
                                         const std::filesystem::path& folder, uint32_t vocab_size) {
  TESSERA_ASSIGN(const Tokenizer tokenizer, Tokenizer::Open(folder));
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(text_file, kMaxTextBytes));
  Result<std::vector<uint32_t>> ids = tokenizer.Encode(text);
  if (!ids) return Fail(std::move(ids).error().Within(text_file.string()));
  if (ids->empty() || ids->size() > kMaxTokens) {
    return Fail(
        Error(ErrorCode::kUsage, "the text makes " + std::to_string(ids->size()) + " tokens")
            .In(text_file.string())
            .Expected("from 1 to " + std::to_string(kMaxTokens)));
  }
  for (const uint32_t id : *ids) {
    if (id < vocab_size) continue;
    return Fail(Error(ErrorCode::kBadTokenizer,
                      "the tokenizer gives ids that the model has no embedding for")
                    .In(folder.string())
                    .Expected("less than " + std::to_string(vocab_size))
                    .Found(std::to_string(id)));
  }
  return ids;
}

}  // namespace

void AddTokenInput(CLI::App& verb, TokenInput& input) {
  CLI::Option* const tokens =
      verb.add_option("--tokens", input.tokens,
                      "Token ids: separated by space or commas, a JSON list, or a safetensors "
                      "tensor");
  verb.add_option("--text", input.text,
                  "UTF-8 text, encoded by the tokenizer beside the checkpoint")
      ->excludes(tokens);
}

Result<std::vector<uint32_t>> ReadTokens(const TokenInput& input,
                                         const std::filesystem::path& checkpoint,
                                         uint32_t vocab_size) {
  if (input.tokens.empty() == input.text.empty()) {
    return Fail(ErrorCode::kUsage, "give the tokens by one of --tokens FILE and --text FILE");
  }
  if (!input.tokens.empty()) return ReadTokenFile(input.tokens, vocab_size);
  std::error_code ignored;
  std::filesystem::path folder = checkpoint;
  if (!std::filesystem::is_directory(folder, ignored)) folder = folder.parent_path();
  return EncodeFile(input.text, folder.empty() ? "." : folder, vocab_size);
}

}  // namespace tessera::cli
