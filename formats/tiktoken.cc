// tiktoken.model of Kimi-K2 and Moonlight: a line a piece, in base64, with its rank. The pattern is
// in the tokenization_*.py beside it, the names of special tokens in tokenizer_config.json.
#include <array>
#include <charconv>

#include "formats/byte_spelling.h"
#include "formats/file.h"
#include "formats/json_fields.h"
#include "formats/tokenizer_spec.h"

namespace tessera {
namespace {

constexpr uint64_t kMaxTiktokenBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxPythonBytes = uint64_t{1} << 20;
constexpr uint32_t kReserved = 256;

std::unexpected<Error> Bad(std::string what) {
  return Fail(ErrorCode::kBadTokenizer, std::move(what));
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t digit = i < text.size() - padding ? kDigits.find(text[i]) : 0;
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) bytes += static_cast<char>(bits >> shift & 0xFF);
    bits = 0;
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

// Ranks must count up from 0: ids and the order of merges both follow from them.
Result<Vocabulary> ReadRanks(std::string_view text) {
  std::vector<std::pair<std::string, uint32_t>> pieces;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto rank = static_cast<uint32_t>(pieces.size());
    const size_t space = std::min(line.find(' '), line.size());
    const std::optional<std::string> bytes = DecodeBase64(line.substr(0, space));
    if (!bytes || line.substr(space) != " " + std::to_string(rank)) {
      return Fail(
          Error(ErrorCode::kBadTokenizer, "line " + std::to_string(rank + 1) + " is malformed")
              .Expected("a piece in base64, a space, and " + std::to_string(rank)));
    }
    pieces.emplace_back(SpellBytes(*bytes), rank);
  }
  return Vocabulary::Make(std::move(pieces));
}

// The file that auto_map names: "tokenization_kimi.TikTokenTokenizer" and its like, with a
// repository and "--" in front where a tool saved it so.
Result<std::string> PythonName(const Json& config) {
  const auto unknown = [] {
    return Fail(Error(ErrorCode::kUnsupported, "nothing says how this tokenizer splits text")
                    .Expected("tokenizer_config.json with auto_map.AutoTokenizer "
                              "[\"tokenization_kimi.TikTokenTokenizer\", null] or the like"));
  };
  const auto map = config.find("auto_map");
  if (map == config.end() || !map->is_object() || !map->contains("AutoTokenizer")) return unknown();
  const Json& entry = (*map)["AutoTokenizer"];
  const Json& name = entry.is_array() && !entry.empty() ? entry[0] : entry;
  if (!name.is_string()) return unknown();
  const std::string& text = name.get_ref<const std::string&>();
  const std::string_view suffix = ".TikTokenTokenizer";
  if (!text.ends_with(suffix)) return unknown();
  const size_t repository = text.rfind("--");
  const size_t begin = repository == std::string::npos ? 0 : repository + 2;
  const std::string module = text.substr(begin, text.size() - suffix.size() - begin);
  if (!module.starts_with("tokenization_") ||
      module.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos) {
    return unknown();
  }
  return module + ".py";
}

// The alternatives joined in `pat_str = "|".join([r"""...""", ...])`.
Result<std::string> FindPattern(std::string_view python) {
  constexpr std::string_view kQuotes = "\"\"\"";
  const size_t begin = python.find("pat_str = \"|\".join(");
  std::string pattern;
  // The end of the list is looked for once more only where a pattern held what looked like it.
  for (size_t at = begin, end = 0; at != std::string_view::npos;) {
    if (end < at) end = python.find(']', at);
    const size_t open = python.find("r\"\"\"", at);
    if (open == std::string_view::npos || end < open) break;
    const size_t text = open + 1 + kQuotes.size(), close = python.find(kQuotes, text);
    if (close == std::string_view::npos) break;
    pattern += (pattern.empty() ? "" : "|") + std::string(python.substr(text, close - text));
    at = close + kQuotes.size();
  }
  if (pattern.empty()) {
    return Fail(Error(ErrorCode::kUnsupported, "the tokenizer's program has no pattern")
                    .Expected("pat_str = \"|\".join([r\"\"\"...\"\"\", ...])"));
  }
  return pattern;
}

Result<PreTokenizer> ReadPattern(const std::filesystem::path& folder, const Json& config) {
  TESSERA_ASSIGN(const std::string name, PythonName(config));
  const std::string path = (folder / name).string();
  TESSERA_ASSIGN(const std::string python, ReadWholeFile(path, kMaxPythonBytes));
  Result<std::string> pattern = FindPattern(python);
  if (!pattern) return Fail(std::move(pattern).error().Within(path));
  Result<PreTokenizer> made = PreTokenizer::FromRegex(*pattern);
  if (!made) return Fail(std::move(made).error().Within(path));
  return made;
}

// Behind the pieces come 256 special tokens and, as the program has it, two more.
Result<std::vector<AddedToken>> NameSpecialTokens(const Json& config, uint32_t first) {
  std::vector<AddedToken> added;
  for (uint32_t id = first; id < first + kReserved + 2; ++id) {
    added.push_back(
        {.content = "<|reserved_token_" + std::to_string(id) + "|>", .id = id, .special = true});
  }
  const auto listed = config.find("added_tokens_decoder");
  if (listed == config.end() || !listed->is_object()) {
    return Bad("tokenizer_config.json has no added_tokens_decoder");
  }
  for (const auto& [key, token] : listed->items()) {
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < first ||
        id - first >= added.size()) {
      return Fail(Error(ErrorCode::kBadTokenizer, "an added token has id " + QuoteJson(key))
                      .Expected("from " + std::to_string(first) + " to " +
                                std::to_string(first + added.size() - 1)));
    }
    TESSERA_ASSIGN(added[id - first].content, StringField(token, "added token " + key, "content"));
  }
  return added;
}

}  // namespace

Result<TokenizerSpec> ReadTiktoken(const std::filesystem::path& folder,
                                   std::optional<Json> config) {
  if (!config) return Fail(ErrorCode::kNotFound, "tiktoken.model needs tokenizer_config.json");
  TESSERA_ASSIGN(PreTokenizer pre_tokenizer, ReadPattern(folder, *config));
  TESSERA_ASSIGN(const std::string text,
                 ReadWholeFile(folder / "tiktoken.model", kMaxTiktokenBytes));
  TESSERA_ASSIGN(Vocabulary vocabulary, ReadRanks(text));
  TESSERA_ASSIGN(std::vector<AddedToken> added,
                 NameSpecialTokens(*config, static_cast<uint32_t>(vocabulary.size())));
  return TokenizerSpec{.kind = TokenizerKind::kTiktoken,
                       .vocabulary = std::move(vocabulary),
                       .merges = {},
                       .whole_words = true,
                       .added = std::move(added),
                       .pre_tokenizer = std::move(pre_tokenizer),
                       .post_processor = {},
                       .frame = {},
                       .config = std::move(config)};
}

}  // namespace tessera
