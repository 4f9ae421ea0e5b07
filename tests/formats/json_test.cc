#include "formats/json.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

std::string Nested(int levels) {
  const auto n = static_cast<size_t>(levels);
  return std::string(n, '[') + std::string(n, ']');
}

std::string ObjectOf(size_t keys) {
  std::string text = "{";
  for (size_t i = 0; i < keys; ++i) {
    if (i != 0) text += ',';
    text += '"' + std::to_string(i) + "\":0";
  }
  return text + "}";
}

// Writes events down, one letter each; stops at the string "stop".
class Recorder final : public JsonEvents {
 public:
  bool OnObject() override { return Add("{"); }
  bool OnObjectEnd() override { return Add("}"); }
  bool OnArray() override { return Add("["); }
  bool OnArrayEnd() override { return Add("]"); }
  bool OnKey(std::string&& key) override { return Add("k" + key); }
  bool OnString(std::string&& text) override { return Add("s" + text) && text != "stop"; }
  bool OnUnsigned(uint64_t value) override { return Add("u" + std::to_string(value)); }
  bool OnOther(std::string_view kind) override { return Add("o(" + std::string(kind) + ")"); }

  std::string seen;

 private:
  bool Add(const std::string& event) { return seen += event + " ", true; }
};

TEST(Json, EventsComeInOrderAndNumbersByKind) {
  Recorder recorder;
  const auto done = ParseJsonEvents(
      R"( {"a":[0,18446744073709551615,"é\n"],"b":{"c":-1,"d":1.0,"e":18446744073709551616,"f":null,"g":true}} )",
      recorder);
  ASSERT_TRUE(done && *done);
  EXPECT_EQ(recorder.seen,
            "{ ka [ u0 u18446744073709551615 sé\n ] kb { kc o(a negative number) kd o(a fractional "
            "or over-long number) ke o(a fractional or over-long number) kf o(null) kg o(a "
            "boolean) } } ");
}

TEST(Json, AHandlerCanStopTheParse) {
  Recorder recorder;
  const auto done = ParseJsonEvents(R"(["a","stop","b"])", recorder);
  ASSERT_TRUE(done);
  EXPECT_FALSE(*done);
  EXPECT_EQ(recorder.seen, "[ sa sstop ");
}

TEST(Json, RefusesWhatIsNotStrictJson) {
  const std::string cases[] = {"",
                               "{",
                               "{}x",
                               "[1,]",
                               "{\"a\":1,}",
                               "// x\n{}",
                               "{'a':1}",
                               "[NaN]",
                               "[01]",
                               "[+1]",
                               "[.5]",
                               "[1.]",
                               "\xEF\xBB\xBF{}",
                               "[\"\xFF\"]",
                               "[\"a\nb\"]",
                               "[\"\\ud800\"]",
                               "[\"\\x\"]",
                               "[1e999]",
                               std::string("{}\0", 3),
                               "{\"a\" 1}",
                               "{1:2}"};
  for (const std::string& text : cases) {
    Recorder recorder;
    const auto events = ParseJsonEvents(text, recorder);
    ASSERT_FALSE(events) << text;
    EXPECT_EQ(events.error().code(), ErrorCode::kJsonSyntax) << text;
    const auto tree = ParseJson(text);
    ASSERT_FALSE(tree) << text;
    EXPECT_EQ(tree.error().code(), ErrorCode::kJsonSyntax) << text;
  }
}

TEST(Json, DepthIsBoundedAlikeInBothForms) {
  for (const int levels : {1, kMaxJsonDepth, kMaxJsonDepth + 1, 100'000}) {
    Recorder recorder;
    const auto events = ParseJsonEvents(Nested(levels), recorder);
    const auto tree = ParseJson(Nested(levels));
    EXPECT_EQ(events.has_value(), levels <= kMaxJsonDepth) << levels;
    EXPECT_EQ(tree.has_value(), levels <= kMaxJsonDepth) << levels;
    if (!tree) {
      EXPECT_EQ(tree.error().code(), ErrorCode::kJsonDepth);
    }
    if (!events) {
      EXPECT_EQ(events.error().code(), ErrorCode::kJsonDepth);
    }
  }
}

TEST(Json, ATreeKeepsTheOrderOfKeys) {
  const std::string text =
      "{\n  \"z\": 1,\n  \"a\": {\n    \"y\": [\n      1,\n      {\n        \"b\": null\n      }\n"
      "    ],\n    \"x\": 1e-06\n  },\n  \"m\": \"é\"\n}\n";
  const auto tree = ParseJson(text);
  ASSERT_TRUE(tree) << tree.error().Text();
  EXPECT_EQ(RenderJson(*tree), text);
}

TEST(Json, DuplicateKeysAreRefusedInTheirOwnObjectOnly) {
  for (const char* text :
       {R"({"a":1,"a":2})", R"({"a":1,"\u0061":2})", R"([{"b":{},"c":1,"b":1}])"}) {
    const auto tree = ParseJson(text);
    ASSERT_FALSE(tree) << text;
    EXPECT_EQ(tree.error().code(), ErrorCode::kJsonDuplicateKey) << text;
  }
  EXPECT_TRUE(ParseJson(R"({"a":{"a":[{"a":1},{"a":2}]},"b":{"a":1}})"));
}

TEST(Json, ObjectsAreBoundedAndNotQuadratic) {
  const auto start = std::chrono::steady_clock::now();
  const auto largest = ParseJson(ObjectOf(kMaxKeysPerObject));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(largest) << largest.error().Text();
  EXPECT_EQ(largest->size(), kMaxKeysPerObject);
  EXPECT_LT(took.count(), 3.0);  // quadratic: two billion comparisons of strings
  const auto more = ParseJson(ObjectOf(kMaxKeysPerObject + 1));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), ErrorCode::kJsonTooLarge);
}

TEST(Json, FilesAreBoundedAndNamed) {
  TempDir dir;
  dir.Write("good.json", "{\"a\": 1}");
  dir.Write("bad.json", "{");
  dir.Write("big.json", std::string(kMaxConfigBytes + 1, ' '));
  EXPECT_TRUE(ReadJsonFile((dir / "good.json").string()));
  const auto bad = ReadJsonFile((dir / "bad.json").string());
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().file(), (dir / "bad.json").string());
  const auto big = ReadJsonFile((dir / "big.json").string());
  ASSERT_FALSE(big);
  EXPECT_EQ(big.error().code(), ErrorCode::kJsonTooLarge);
}

TEST(Json, QuotesLikeUpstreamsWriterAndNeverThrows) {
  EXPECT_EQ(QuoteJson("a\"b\\c/d\té\x01\x7F"), "\"a\\\"b\\\\c/d\\té\\u0001\x7F\"");
  EXPECT_EQ(QuoteJson("\xFF"), "\"\xEF\xBF\xBD\"");
}

// All sequences of up to three bytes, and the borders of four, against the definition: code points
// in their shortest form, without surrogates.
bool IsUtf8ByDefinition(std::string_view s) {
  while (!s.empty()) {
    const auto lead = static_cast<uint8_t>(s[0]);
    const size_t n = lead < 0x80         ? 1
                     : (lead >> 5) == 6  ? 2
                     : (lead >> 4) == 14 ? 3
                     : (lead >> 3) == 30 ? 4
                                         : 0;
    if (n == 0 || n > s.size()) return false;
    uint32_t point = n == 1 ? lead : lead & (0x7Fu >> n);
    for (size_t i = 1; i < n; ++i) {
      const auto byte = static_cast<uint8_t>(s[i]);
      if (byte >> 6 != 2) return false;
      point = point << 6 | (byte & 0x3Fu);
    }
    const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[n] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return false;
    s.remove_prefix(n);
  }
  return true;
}

TEST(Json, Utf8CheckAgreesWithTheDefinitionOnAllShortSequences) {
  std::string s(3, '\0');
  for (uint32_t i = 0; i < 1u << 24; ++i) {
    for (size_t k = 0; k < 3; ++k) s[k] = static_cast<char>(i >> (8 * k));
    // Random-looking middle bytes add nothing: step over most of pure ASCII.
    if ((i & 0x808080u) == 0 && i % 251 != 0) continue;
    ASSERT_EQ(!FindNonUtf8(s), IsUtf8ByDefinition(s)) << std::hex << i;
  }
  for (int lead = 0xEF; lead <= 0xFF; ++lead) {
    for (int second = 0; second < 256; ++second) {
      for (const int rest : {0x7F, 0x80, 0xBF, 0xC0}) {
        const std::string four = {static_cast<char>(lead), static_cast<char>(second),
                                  static_cast<char>(rest), static_cast<char>(rest)};
        const std::string_view view = four;
        for (size_t n = 1; n <= 4; ++n) {
          ASSERT_EQ(!FindNonUtf8(view.substr(0, n)), IsUtf8ByDefinition(view.substr(0, n)));
        }
      }
    }
  }
}

TEST(Json, Utf8CheckFindsTheFirstBadByteAtEveryPlace) {
  for (size_t at = 0; at < 40; ++at) {
    std::string text(40, 'a');
    text[at] = '\xFF';
    EXPECT_EQ(FindNonUtf8(text), at);
  }
}

}  // namespace
}  // namespace tessera
