#include "formats/split_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>

namespace tessera {
namespace {

// White_Space, to stand in a class: PCRE2's \s has U+180E besides, which left it with Unicode 6.3.
constexpr std::string_view kSpaces =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// A known regex, and what to give PCRE2 for it where more than the spaces differs.
struct Known {
  std::string_view name, regex;
  std::string_view counterpart = {};
};

constexpr Known kKnown[] = {
    // DeepSeek-V3, R1, V3.1, V3.2.
    {"three-digits", R"(\p{N}{1,3})"},
    {"kana", "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"},
    {"v3-words",
     R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
     R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    // DeepSeek-V2: cased letters of some scripts, in ranges.
    {"line-ends", R"([\r\n])"},
    {"cased", R"(\s?[)"
              "A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-"
              "\u02AF\u0370-\u0373\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-"
              "\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556\u10A0-\u10C5\u13A0-\u13F5"
              "\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00"
              "-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-"
              "\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-"
              "\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113\u2115\u2119-"
              "\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149"
              "\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D"
              "\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13"
              "-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A\U00010400-\U0001044F\U000104B0-\U000104D3"
              "\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2\U000118A0-\U000118DF"
              "\U0001E900-\U0001E943"
              "]+"},
    {"marks", R"(\s?[!-/:-~)"
              "\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+"},
    // `$` is the end of a line too. Only the first character of a run need be tried: if the run
    // cannot match from there, it cannot from later on. Without that the time is quadratic.
    {"trailing", R"(\s+$)", R"((?<![\s])[\s]+(?=\n|\z))"},
    {"wide", "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+"},
    // DeepSeek-Coder.
    {"letters", R"(\s?\p{L}+)"},
    {"punctuation", R"(\s?\p{P}+)"},
    // GLM.
    {"glm",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {"gpt2", kGpt2Regex},
    // The step Digits asks Rust, which knows Unicode 17.
    {"digit", kDigitRegex, R"([\p{N}\x{11de0}-\x{11de9}\x{16ff4}-\x{16ff6}])"},
    {"digits", kDigitsRegex, R"([\p{N}\x{11de0}-\x{11de9}\x{16ff4}-\x{16ff6}]+)"},
    // Kimi-K2, Moonlight. PCRE2 intersects no classes, and its \p{Han} goes by script extensions:
    // the
    // complement of everything else says the same.
    {"kimi",
     R"([\p{Han}]+)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
     R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
     R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     R"([\p{sc:Han}]+)"
     R"(|[^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]*)"
     R"([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|[^\r\n\p{L}\p{N}]?[^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]+)"
     R"([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C}\p{sc:Han}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

// Only a safeguard: the patterns above are linear, and texts are far shorter.
constexpr uint32_t kMatchLimit = uint32_t{1} << 30;

std::string EscapeLineEnds(std::string_view regex) {
  std::string escaped;
  for (const char c : regex) {
    escaped += c == '\r' ? std::string("\\r") : c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return escaped;
}

// Spells \s and \S out, in classes and outside.
std::string SpellSpaces(std::string_view regex) {
  std::string spelled;
  bool in_class = false;
  for (size_t at = 0; at < regex.size(); ++at) {
    const char c = regex[at];
    if (c == '[' || c == ']') in_class = c == '[';
    if (c != '\\') {
      spelled += c;
      continue;
    }
    const char escaped = regex[++at];
    if (escaped == 's') {
      spelled += in_class ? std::string(kSpaces) : "[" + std::string(kSpaces) + "]";
    } else if (escaped == 'S') {
      spelled += "[^" + std::string(kSpaces) + "]";
    } else {
      spelled += {c, escaped};
    }
  }
  return spelled;
}

template <class T, void (*kFree)(T*)>
struct Freeing {
  void operator()(T* p) const { kFree(p); }
};
template <class T, void (*kFree)(T*)>
using Owned = std::unique_ptr<T, Freeing<T, kFree>>;

using MatchData = Owned<pcre2_match_data, pcre2_match_data_free>;

std::string Explain(int error) {
  std::array<PCRE2_UCHAR, 200> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct SplitPattern::Code {
  Owned<pcre2_code, pcre2_code_free> compiled;
  Owned<pcre2_match_context, pcre2_match_context_free> context;

  static Result<std::shared_ptr<const Code>> Compile(std::string_view regex) {
    int error = 0;
    PCRE2_SIZE where = 0;
    auto code = std::make_shared<Code>();
    code->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(),
                                       PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr));
    code->context.reset(pcre2_match_context_create(nullptr));
    if (!code->compiled || !code->context) {
      return Fail(ErrorCode::kInternal, "PCRE2 refuses a pattern: " + Explain(error));
    }
    pcre2_set_match_limit(code->context.get(), kMatchLimit);
    // Where there is no JIT it is interpreted, with the same result.
    pcre2_jit_compile(code->compiled.get(), PCRE2_JIT_COMPLETE);
    return code;
  }

  // The first match from `begin` on, empty at the end of `text` if there is none.
  Result<std::string_view> Next(std::string_view text, size_t begin, pcre2_match_data* data) const {
    const int found = pcre2_match(compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), begin, PCRE2_NO_UTF_CHECK, data, context.get());
    if (found == PCRE2_ERROR_NOMATCH) return text.substr(text.size());
    if (found < 0) {
      return Fail(ErrorCode::kInternal, "PCRE2 gives up on the text: " + Explain(found));
    }
    const PCRE2_SIZE* const span = pcre2_get_ovector_pointer(data);
    return text.substr(span[0], span[1] - span[0]);
  }
};

Result<SplitPattern> SplitPattern::Make(std::string_view regex) {
  const std::string escaped = EscapeLineEnds(regex);
  for (const Known& known : kKnown) {
    if (known.regex != escaped) continue;
    TESSERA_ASSIGN(
        auto code,
        Code::Compile(SpellSpaces(known.counterpart.empty() ? known.regex : known.counterpart)));
    return SplitPattern(known.name, std::move(code));
  }
  return Fail(Error(ErrorCode::kUnsupported, "the tokenizer splits text by an unknown pattern")
                  .Expected("a pattern of the DeepSeek, Kimi or GLM tokenizers")
                  .Found(escaped));
}

Result<std::vector<std::string_view>> SplitPattern::Split(
    std::span<const std::string_view> pieces) const {
  const MatchData data(pcre2_match_data_create(1, nullptr));
  TESSERA_CHECK(data != nullptr);
  std::vector<std::string_view> split;
  for (const std::string_view piece : pieces) {
    for (size_t done = 0; done < piece.size();) {
      TESSERA_ASSIGN(const std::string_view match, code_->Next(piece, done, data.get()));
      const auto begin = static_cast<size_t>(match.data() - piece.data());
      if (begin > done) split.push_back(piece.substr(done, begin - done));
      if (!match.empty()) split.push_back(match);
      done = begin + match.size();
    }
  }
  return split;
}

}  // namespace tessera
