#include "formats/tokenizer.h"

#include <algorithm>

#include "formats/byte_spelling.h"
#include "formats/json.h"
#include "formats/tokenizer_spec.h"
#include "formats/unicode.h"

namespace tessera {
namespace {

// tokenization_kimi.py hands tiktoken pieces of at most this many characters, cut again where white
// space or its absence goes on for too long; tokens do not cross the cuts.
constexpr size_t kMaxPieceCharacters = 400'000;
constexpr size_t kMaxRunCharacters = 25'000;

// Python's str.isspace, which knows the separators U+001C to U+001F besides.
bool IsPythonSpace(char32_t point) {
  return IsWhiteSpace(point) || (point >= 0x1C && point <= 0x1F);
}

std::vector<std::string_view> CutLikeKimi(std::string_view text) {
  std::vector<std::string_view> pieces;
  size_t begin = 0, characters = 0, run = 0;
  bool run_is_space = false;
  for (size_t at = 0; at < text.size(); at += Utf8Bytes(text[at])) {
    const bool is_space = IsPythonSpace(CodePointAt(text, at));
    if (characters == kMaxPieceCharacters) {
      pieces.push_back(text.substr(begin, at - begin));
      begin = at;
      characters = run = 0;
    }
    run = run > 0 && is_space == run_is_space ? run + 1 : 1;
    run_is_space = is_space;
    if (run > kMaxRunCharacters) {
      pieces.push_back(text.substr(begin, at - begin));
      begin = at;
      run = 1;
    }
    ++characters;
  }
  if (begin < text.size()) pieces.push_back(text.substr(begin));
  return pieces;
}

Result<Bpe> MakeBpe(const TokenizerSpec& spec) {
  return spec.kind == TokenizerKind::kTiktoken ? Bpe::FromRanks(spec.vocabulary)
                                               : Bpe::FromMerges(spec.vocabulary, spec.merges);
}

std::vector<AddedToken> Those(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> those;
  std::ranges::copy_if(tokens, std::back_inserter(those), [normalized](const AddedToken& token) {
    return token.normalized == normalized;
  });
  return those;
}

}  // namespace

struct Tokenizer::Parts {
  TokenizerSpec spec;
  TokenFrame frame;
  Bpe bpe;
  // In this order: the second sees what the first has left.
  AddedTokenFinder verbatim, normalized;

  std::vector<TextSegment> FindAdded(std::string_view text) const {
    std::vector<TextSegment> segments;
    for (const TextSegment& segment : verbatim.Split(text)) {
      if (segment.id) {
        segments.push_back(segment);
        continue;
      }
      for (const TextSegment& rest : normalized.Split(segment.text)) segments.push_back(rest);
    }
    return segments;
  }

  Result<void> EncodePlain(std::string_view text, std::vector<uint32_t>& ids) const {
    TESSERA_ASSIGN(const auto words, spec.pre_tokenizer.Split(text));
    for (const std::string_view word : words) {
      if (spec.whole_words) {
        if (const auto id = spec.vocabulary.Find(SpellBytes(word))) {
          ids.push_back(*id);
          continue;
        }
      }
      bpe.Encode(word, ids);
    }
    return {};
  }
};

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::Open(const std::filesystem::path& folder) {
  TESSERA_ASSIGN(TokenizerSpec spec, ReadTokenizerSpec(folder));
  const auto build = [&]() -> Result<Tokenizer> {
    TESSERA_ASSIGN(TokenFrame frame, FrameOf(spec));
    TESSERA_ASSIGN(Bpe bpe, MakeBpe(spec));
    TESSERA_ASSIGN(auto verbatim, AddedTokenFinder::Make(Those(spec.added, false)));
    TESSERA_ASSIGN(auto normalized, AddedTokenFinder::Make(Those(spec.added, true)));
    return Tokenizer(
        std::make_unique<const Parts>(Parts{std::move(spec), std::move(frame), std::move(bpe),
                                            std::move(verbatim), std::move(normalized)}));
  };
  Result<Tokenizer> built = build();
  if (!built) return Fail(std::move(built).error().Within(folder.string()));
  return built;
}

Result<std::vector<uint32_t>> Tokenizer::Encode(std::string_view text) const {
  if (text.size() > kMaxTextBytes) {
    return Fail(Error(ErrorCode::kUsage, "the text is too long")
                    .Expected("at most " + std::to_string(kMaxTextBytes) + " bytes")
                    .Found(std::to_string(text.size())));
  }
  if (const std::optional<size_t> at = FindNonUtf8(text)) {
    return Fail(ErrorCode::kUsage, "the text is not UTF-8 at byte " + std::to_string(*at));
  }
  std::vector<uint32_t> ids = parts_->frame.before;
  const auto chunks = parts_->spec.kind == TokenizerKind::kTiktoken
                          ? CutLikeKimi(text)
                          : std::vector<std::string_view>{text};
  for (const std::string_view chunk : chunks) {
    for (const TextSegment& segment : parts_->FindAdded(chunk)) {
      if (segment.id) {
        ids.push_back(*segment.id);
      } else {
        TESSERA_TRY(parts_->EncodePlain(segment.text, ids));
      }
    }
  }
  ids.insert(ids.end(), parts_->frame.after.begin(), parts_->frame.after.end());
  return ids;
}

}  // namespace tessera
