#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

struct Probe {
  const char* what;
  std::string json;
  uint64_t data_bytes;
};

struct BadProbe {
  const char* what;
  std::string json;
  uint64_t data_bytes;
  ErrorCode code;
};

// One tensor "t", F32 [2] at [0, 8], with one of its fields replaced.
std::string Tensor(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return "{\"t\":{\"dtype\":" + std::string(dtype) + ",\"shape\":" + std::string(shape) +
         ",\"data_offsets\":" + std::string(offsets) + "}}";
}
std::string WithDtype(std::string_view dtype) { return Tensor(dtype, "[2]", "[0,8]"); }
std::string WithShape(std::string_view shape) { return Tensor("\"F32\"", shape, "[0,8]"); }
std::string WithOffsets(std::string_view offsets) { return Tensor("\"F32\"", "[2]", offsets); }

// An entry of type U8 without braces around it.
std::string U8(std::string_view name, std::string_view shape, uint64_t begin, uint64_t end) {
  return std::string("\"").append(name) + "\":{\"dtype\":\"U8\",\"shape\":" + std::string(shape) +
         ",\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

const std::string kT = "\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}";

std::string Nested(int levels) {
  return std::string(static_cast<size_t>(levels), '[') +
         std::string(static_cast<size_t>(levels), ']');
}

std::string Repeated(std::string_view item, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all.append(i == 0 ? "" : ",").append(item);
  return all;
}

TEST(SafetensorsReader, AcceptsWhatTheFormatAllows) {
  const Probe probes[] = {
      {"one tensor", "{" + kT + "}", 8},
      {"no tensor", "{}", 0},
      {"only metadata", R"({"__metadata__":{"format":"pt"}})", 0},
      {"null metadata counts as absent", R"({"__metadata__":null,)" + kT + "}", 8},
      {"empty metadata", R"({"__metadata__":{},)" + kT + "}", 8},
      {"metadata last", "{" + kT + R"(,"__metadata__":{"a":"b"}})", 8},
      {"leading white space", " \n\t\r{" + kT + "}", 8},
      {"trailing white space", "{" + kT + "} \n ", 8},
      {"header length no multiple of eight", "{" + kT + "}  ", 8},
      {"scalar", Tensor("\"F32\"", "[]", "[0,4]"), 4},
      {"zero dimension", Tensor("\"F32\"", "[0]", "[0,0]"), 0},
      {"zero first, then huge", Tensor("\"F32\"", "[0,4294967296,4294967296]", "[0,0]"), 0},
      {"huge, then zero", Tensor("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), 0},
      {"largest dimension", Tensor("\"U8\"", "[281474976710655,0]", "[0,0]"), 0},
      {"zero-sized tensor at a real one's begin",
       "{" + U8("a", "[4]", 0, 4) + "," + U8("z", "[0]", 0, 0) + "}", 4},
      {"zero-sized tensor at the end",
       "{" + U8("a", "[4]", 0, 4) + "," + U8("z", "[0]", 4, 4) + "}", 4},
      {"two zero-sized tensors at one place",
       "{" + U8("y", "[0]", 0, 0) + "," + U8("z", "[0]", 0, 0) + "}", 0},
      {"entries out of order", "{" + U8("b", "[4]", 4, 8) + "," + U8("a", "[4]", 0, 4) + "}", 8},
      {"empty name", "{" + U8("", "[1]", 0, 1) + "}", 1},
      {"name with NUL", "{" + U8("a\\u0000b", "[1]", 0, 1) + "}", 1},
      {"name that looks like a path", "{" + U8("../../etc/x", "[1]", 0, 1) + "}", 1},
      {"surrogate pair in a name", "{" + U8("\\ud83d\\ude00", "[1]", 0, 1) + "}", 1},
      {"F4 in whole bytes", Tensor("\"F4\"", "[2]", "[0,1]"), 1},
      {"F6 in whole bytes", Tensor("\"F6_E2M3\"", "[4]", "[0,3]"), 3},
      {"rank 64", Tensor("\"U8\"", "[" + Repeated("1", 64) + "]", "[0,1]"), 1},
      {"fields in another order", R"({"t":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}})", 1},
      {"unknown field, deep",
       R"({"t":{"x":)" + Nested(61) + R"(,"dtype":"U8","shape":[1],)" + R"("data_offsets":[0,1]}})",
       1},
  };
  for (const Probe& probe : probes) {
    const auto header = ParseSafetensorsHeader(probe.json, probe.data_bytes);
    EXPECT_TRUE(header) << probe.what << ": " << (header ? "" : header.error().Text());
  }
}

std::vector<BadProbe> SyntaxProbes() {
  using enum ErrorCode;
  return {
      {"empty header", "", 0, kHeaderSyntax},
      {"only white space", "   ", 0, kHeaderSyntax},
      {"byte-order mark", "\xEF\xBB\xBF{}", 0, kHeaderSyntax},
      {"trailing NULs", std::string("{}\0\0", 4), 0, kHeaderSyntax},
      {"trailing junk", "{}x", 0, kHeaderSyntax},
      {"second value", "{}{}", 0, kHeaderSyntax},
      {"unfinished", "{" + kT, 8, kHeaderSyntax},
      {"trailing comma", "{" + kT + ",}", 8, kHeaderSyntax},
      {"comment", "{/* */}", 0, kHeaderSyntax},
      {"single quotes", "{'t':1}", 0, kHeaderSyntax},
      {"raw newline in a name", "{" + U8("a\nb", "[1]", 0, 1) + "}", 1, kHeaderSyntax},
      {"lone surrogate", "{" + U8("\\ud800", "[1]", 0, 1) + "}", 1, kHeaderSyntax},
      {"NaN literal", WithShape("[NaN]"), 8, kHeaderSyntax},
      {"number with a leading zero", WithShape("[02]"), 8, kHeaderSyntax},
      {"plus sign", WithShape("[+2]"), 8, kHeaderSyntax},
      {"not UTF-8 in a name", "{" + U8("a\xFF", "[1]", 0, 1) + "}", 1, kHeaderNotUtf8},
      {"overlong UTF-8", "{" + U8("\xC0\xAF", "[1]", 0, 1) + "}", 1, kHeaderNotUtf8},
      {"not UTF-8 outside strings", "{\x80}", 0, kHeaderNotUtf8},
      {"array", "[]", 0, kHeaderNotObject},
      {"null", "null", 0, kHeaderNotObject},
      {"string", "\"x\"", 0, kHeaderNotObject},
      {"number", "1", 0, kHeaderNotObject},
      {"100,000 nested arrays", Nested(100'000), 0, kHeaderNotObject},
      {"100,000 nested arrays in a skipped field", R"({"t":{"x":)" + Nested(100'000) + "}}", 0,
       kJsonDepth},
      {"metadata is a string", R"({"__metadata__":"x"})", 0, kMetadataNotStrings},
      {"metadata is an array", R"({"__metadata__":[]})", 0, kMetadataNotStrings},
      {"metadata maps to a number", R"({"__metadata__":{"a":1}})", 0, kMetadataNotStrings},
      {"metadata maps to null", R"({"__metadata__":{"a":null}})", 0, kMetadataNotStrings},
      {"metadata maps to an object", R"({"__metadata__":{"a":{}}})", 0, kMetadataNotStrings},
      {"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0, kJsonDuplicateKey},
      {"metadata key twice", R"({"__metadata__":{"a":"1","a":"2"}})", 0, kJsonDuplicateKey},
      {"metadata key twice by escape", R"({"__metadata__":{"a":"1","\u0061":"1"}})", 0,
       kJsonDuplicateKey},
      {"65,537 metadata pairs", R"({"__metadata__":{)" + Repeated(R"("a":"")", 65'537) + "}}", 0,
       kJsonTooLarge},
  };
}

std::vector<BadProbe> EntryProbes() {
  using enum ErrorCode;
  return {
      {"entry as array", R"({"t":["F32",[2],[0,8]]})", 8, kBadTensorEntry},
      {"entry as string", R"({"t":"F32"})", 0, kBadTensorEntry},
      {"entry null", R"({"t":null})", 0, kBadTensorEntry},
      {"entry empty", R"({"t":{}})", 0, kBadTensorEntry},
      {"no dtype", R"({"t":{"shape":[2],"data_offsets":[0,8]}})", 8, kBadTensorEntry},
      {"no shape", R"({"t":{"dtype":"F32","data_offsets":[0,8]}})", 8, kBadTensorEntry},
      {"no data_offsets", R"({"t":{"dtype":"F32","shape":[2]}})", 8, kBadTensorEntry},
      {"dtype twice", R"({"t":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8,
       kJsonDuplicateKey},
      {"shape twice", R"({"t":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})", 8,
       kJsonDuplicateKey},
      {"offsets twice",
       R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}})", 8,
       kJsonDuplicateKey},
      {"dtype unknown", WithDtype("\"I4\""), 8, kUnknownDtype},
      {"dtype in lower case", WithDtype("\"f32\""), 8, kUnknownDtype},
      {"dtype a block type", WithDtype("\"Q8_0\""), 8, kUnknownDtype},
      {"dtype a number", WithDtype("4"), 8, kUnknownDtype},
      {"dtype an object", WithDtype(R"({"F32":null})"), 8, kUnknownDtype},
      {"dtype null", WithDtype("null"), 8, kUnknownDtype},
      {"shape a number", WithShape("2"), 8, kBadShape},
      {"shape an object", WithShape("{}"), 8, kBadShape},
      {"shape of strings", WithShape("[\"2\"]"), 8, kBadShape},
      {"shape nested", WithShape("[[2]]"), 8, kBadShape},
      {"negative dimension", WithShape("[-2]"), 8, kBadShape},
      {"minus zero", Tensor("\"F32\"", "[-0]", "[0,0]"), 0, kBadShape},
      {"fractional dimension", WithShape("[2.0]"), 8, kBadShape},
      {"dimension with an exponent", WithShape("[2e0]"), 8, kBadShape},
      {"dimension over 64 bits", WithShape("[18446744073709551616]"), 8, kBadShape},
      {"dimension of 2^48", WithShape("[281474976710656]"), 8, kBadShape},
      {"dimension of 2^48 beside zero", Tensor("\"F32\"", "[0,281474976710656]", "[0,0]"), 0,
       kBadShape},
      {"rank 65", Tensor("\"U8\"", "[" + Repeated("1", 65) + "]", "[0,1]"), 1, kRankTooLarge},
      {"rank 5000", Tensor("\"U8\"", "[" + Repeated("1", 5000) + "]", "[0,1]"), 1, kRankTooLarge},
      {"elements that wrap to zero", Tensor("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0,
       kSizeOverflow},
      {"bits that wrap to zero", Tensor("\"F64\"", "[67108864,4294967296]", "[0,0]"), 0,
       kSizeOverflow},
      {"F4, an odd number", Tensor("\"F4\"", "[3]", "[0,2]"), 2, kPartialByte},
      {"F6, two of them", Tensor("\"F6_E2M3\"", "[2]", "[0,2]"), 2, kPartialByte},
      {"three offsets", WithOffsets("[0,8,8]"), 8, kBadOffsets},
      {"one offset", WithOffsets("[8]"), 8, kBadOffsets},
      {"no offset", WithOffsets("[]"), 8, kBadOffsets},
      {"offsets reversed", WithOffsets("[8,0]"), 8, kBadOffsets},
      {"offsets negative", WithOffsets("[-8,0]"), 8, kBadOffsets},
      {"offsets fractional", WithOffsets("[0,8.5]"), 8, kBadOffsets},
      {"offsets as strings", WithOffsets("[\"0\",\"8\"]"), 8, kBadOffsets},
      {"offsets an object", WithOffsets("{}"), 8, kBadOffsets},
      {"offsets over 64 bits", WithOffsets("[0,18446744073709551624]"), 8, kBadOffsets},
      {"fewer bytes than the shape needs", WithOffsets("[0,7]"), 7, kSizeMismatch},
      {"more bytes than the shape needs", WithOffsets("[0,9]"), 9, kSizeMismatch},
      {"zero-sized with bytes", Tensor("\"F32\"", "[0]", "[0,8]"), 8, kSizeMismatch},
  };
}

std::vector<BadProbe> LayoutProbes() {
  using enum ErrorCode;
  const auto two = [](const std::string& a, const std::string& b) {
    return "{" + a + "," + b + "}";
  };
  return {
      {"same name, same range", two(kT, kT), 8, kDuplicateTensor},
      {"same name, another dtype", two(kT, U8("t", "[8]", 0, 8)), 8, kDuplicateTensor},
      {"same name, next range", two(U8("t", "[8]", 0, 8), U8("t", "[8]", 8, 16)), 16,
       kDuplicateTensor},
      {"same name by escape", two(kT, U8("\\u0074", "[8]", 0, 8)), 8, kDuplicateTensor},
      {"whole overlap", two(U8("a", "[8]", 0, 8), U8("b", "[8]", 0, 8)), 8, kOverlap},
      {"partial overlap", two(U8("a", "[8]", 0, 8), U8("b", "[8]", 4, 12)), 12, kOverlap},
      {"zero-sized inside another", two(U8("a", "[8]", 0, 8), U8("z", "[0]", 4, 4)), 8, kOverlap},
      {"hole at the start", "{" + U8("a", "[4]", 4, 8) + "}", 8, kHole},
      {"hole in the middle", two(U8("a", "[2]", 0, 2), U8("b", "[2]", 4, 6)), 6, kHole},
      {"hole at the end", "{" + U8("a", "[4]", 0, 4) + "}", 8, kTrailingBytes},
      {"bytes and no tensor", "{}", 1, kTrailingBytes},
      {"one byte short", "{" + kT + "}", 7, kTruncated},
      {"no data at all", "{" + kT + "}", 0, kTruncated},
      {"zero-sized past the end", two(U8("a", "[4]", 0, 4), U8("z", "[0]", 9, 9)), 4, kHole},
      {"offsets near 2^64",
       "{" + U8("a", "[1]", 18446744073709551614u, 18446744073709551615u) + "}", 8, kHole},
  };
}

void ExpectRefused(const std::vector<BadProbe>& probes) {
  for (const BadProbe& probe : probes) {
    const auto header = ParseSafetensorsHeader(probe.json, probe.data_bytes);
    ASSERT_FALSE(header) << probe.what;
    EXPECT_EQ(Name(header.error().code()), Name(probe.code))
        << probe.what << ": " << header.error().Text();
  }
}

TEST(SafetensorsReader, RefusesWhatIsNoHeader) { ExpectRefused(SyntaxProbes()); }
TEST(SafetensorsReader, RefusesBadEntriesEachByItsRule) { ExpectRefused(EntryProbes()); }
TEST(SafetensorsReader, RefusesBadLayoutsEachByItsRule) { ExpectRefused(LayoutProbes()); }

TEST(SafetensorsReader, EntryErrorsNameTheTensor) {
  for (const BadProbe& probe : EntryProbes()) {
    const auto header = ParseSafetensorsHeader(probe.json, probe.data_bytes);
    ASSERT_FALSE(header) << probe.what;
    EXPECT_EQ(header.error().tensor(), "t") << probe.what;
  }
}

TEST(SafetensorsReader, OverlapNamesBothTensorsAndTheirBytes) {
  const auto header = ParseSafetensorsHeader(
      "{" + U8("first", "[8]", 0, 8) + "," + U8("second", "[8]", 4, 12) + "}", 12);
  ASSERT_FALSE(header);
  const std::string text = header.error().Text();
  for (const char* part : {"first at [0, 8]", "second at [4, 12]", "begin of 8"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " not in\n" << text;
  }
}

TEST(SafetensorsReader, ReportsTheEarliestDuplicateInTheFile) {
  std::string json = "{";
  for (const char* name : {"a", "b", "c", "b", "a"}) json += U8(name, "[0]", 0, 0) + ",";
  json.back() = '}';
  const auto header = ParseSafetensorsHeader(json, 0);
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().tensor(), "b");
}

TEST(SafetensorsReader, GivesEntriesInLayoutOrderAndMetadataInFileOrder) {
  const auto header =
      ParseSafetensorsHeader(R"({"__metadata__":{"z":"1","a":"é"},)" + U8("b", "[2,2]", 4, 8) +
                                 "," + U8("z", "[0]", 4, 4) + "," + U8("a", "[4]", 0, 4) + "}",
                             8);
  ASSERT_TRUE(header) << header.error().Text();
  ASSERT_EQ(header->entries.size(), 3u);
  EXPECT_EQ(header->entries[0].info.name(), "a");
  EXPECT_EQ(header->entries[1].info.name(), "z");
  EXPECT_EQ(header->entries[2].info.name(), "b");
  EXPECT_EQ(header->entries[2].begin, 4u);
  EXPECT_EQ(header->entries[2].info.shape(), (Shape{2, 2}));
  EXPECT_EQ(header->metadata, (SafetensorsMetadata{{"z", "1"}, {"a", "é"}}));
}

TEST(SafetensorsReader, CountsUnknownFieldsOnceWhateverTheyHold) {
  for (const char* value : {"1", "-1", "1.5", "true", "null", "\"s\"", "[]", "{}",
                            "[1,[2,{\"dtype\":3}]]", "{\"shape\":[1],\"x\":{\"y\":[null]}}"}) {
    const std::string json = R"({"t":{"new":)" + std::string(value) +
                             R"(,"dtype":"U8","shape":[1],"data_offsets":[0,1],"old":)" + value +
                             "}}";
    const auto header = ParseSafetensorsHeader(json, 1);
    ASSERT_TRUE(header) << value << ": " << header.error().Text();
    EXPECT_EQ(header->unknown_fields, 2u) << value;
    EXPECT_EQ(header->entries.size(), 1u) << value;
  }
}

TEST(SafetensorsReader, CountsTensorsAtUnalignedFileOffsets) {
  const std::string json = Tensor("\"F32\"", "[2]", "[0,8]");
  for (size_t pad = 0; pad < 8; ++pad) {
    const auto header = ParseSafetensorsHeader(json + std::string(pad, ' '), 8);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->unaligned, (json.size() + pad) % 4 == 0 ? 0u : 1u) << pad;
  }
}

TEST(SafetensorsReader, BoundsTheNumberOfTensors) {
  std::string json = "{";
  for (uint64_t i = 0; i <= kMaxTensorsPerFile; ++i) {
    if (i != 0) json += ',';
    json += U8(std::to_string(i), "[0]", 0, 0);
  }
  json += "}";
  const auto header = ParseSafetensorsHeader(json, 0);
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code(), ErrorCode::kTooManyTensors);
}

// The reference takes 6.4 s for a million such tensors. Scaled down by ten, with room for slow
// machines and sanitizers: what must not pass is anything quadratic.
TEST(SafetensorsReader, ReadsAHundredThousandTensorsInAnyOrderInSeconds) {
  constexpr uint64_t kCount = 100'000;
  std::string json = "{";
  for (uint64_t i = 0; i < kCount; ++i) {
    const uint64_t at = i * 7919 % kCount;
    if (i != 0) json += ',';
    json += U8("model.layers.3.mlp.experts." + std::to_string(at), "[1]", at, at + 1);
  }
  json += "}";
  const auto start = std::chrono::steady_clock::now();
  const auto header = ParseSafetensorsHeader(json, kCount);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(header) << header.error().Text();
  for (uint64_t i = 0; i < kCount; ++i) ASSERT_EQ(header->entries[i].begin, i);
  EXPECT_LT(took.count(), 10.0);
}

class SafetensorsFile : public testing::Test {
 protected:
  Result<SafetensorsHeader> Read(std::string_view bytes) {
    dir_.Write("x.safetensors", bytes);
    const auto file = File::OpenRead(dir_ / "x.safetensors");
    if (!file) return Fail(file.error());
    return ReadSafetensorsHeader(*file, &raw_);
  }
  static std::string Length(uint64_t n) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(n >> (8 * i));
    return bytes;
  }

  TempDir dir_;
  std::string raw_;
};

TEST_F(SafetensorsFile, GivesTheHeaderAndItsRawBytes) {
  const std::string json = "{" + kT + "}";
  const auto header = Read(Length(json.size()) + json + "12345678");
  ASSERT_TRUE(header) << header.error().Text();
  EXPECT_EQ(header->data_begin, 8 + json.size());
  EXPECT_EQ(header->data_bytes, 8u);
  EXPECT_EQ(raw_, Length(json.size()) + json);
}

TEST_F(SafetensorsFile, BadLengthsHaveTheirOwnErrorsAndNameTheFile) {
  const std::pair<std::string, ErrorCode> cases[] = {
      {"", ErrorCode::kHeaderTooSmall},
      {"1234567", ErrorCode::kHeaderTooSmall},
      {Length(0), ErrorCode::kHeaderSyntax},
      {Length(3) + "{}", ErrorCode::kHeaderPastEnd},
      {Length(100'000'000) + "{}", ErrorCode::kHeaderPastEnd},
      {Length(100'000'001) + "{}", ErrorCode::kHeaderTooLarge},
      {Length(~uint64_t{0}) + "{}", ErrorCode::kHeaderTooLarge},
      {Length(~uint64_t{0} - 7) + "{}", ErrorCode::kHeaderTooLarge},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
       ErrorCode::kLfsPointer},
      {Length(3) + "{}x", ErrorCode::kHeaderSyntax},
      {Length(2) + "{}x", ErrorCode::kTrailingBytes},
  };
  for (const auto& [bytes, code] : cases) {
    const auto header = Read(bytes);
    ASSERT_FALSE(header) << Name(code);
    EXPECT_EQ(Name(header.error().code()), Name(code)) << header.error().Text();
    EXPECT_EQ(header.error().file(), (dir_ / "x.safetensors").string()) << Name(code);
  }
}

TEST_F(SafetensorsFile, PointerFilesAreToldWhatToDo) {
  const auto header = Read("version https://git-lfs.github.com/spec/v1\n");
  ASSERT_FALSE(header);
  EXPECT_NE(header.error().next().find("git lfs pull"), std::string::npos);
}

TEST_F(SafetensorsFile, EveryTruncationIsRefusedByTheRightRule) {
  const std::string json = "{" + kT + "}";
  const std::string whole = Length(json.size()) + json + "12345678";
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto header = Read(whole.substr(0, size));
    ASSERT_FALSE(header) << size;
    const ErrorCode want = size < 8                 ? ErrorCode::kHeaderTooSmall
                           : size < 8 + json.size() ? ErrorCode::kHeaderPastEnd
                                                    : ErrorCode::kTruncated;
    EXPECT_EQ(Name(header.error().code()), Name(want)) << size;
  }
  EXPECT_TRUE(Read(whole));
}

}  // namespace
}  // namespace tessera
