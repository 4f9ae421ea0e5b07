#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "formats/container.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

// A header spelled out field by field, so that each can be wrong.
class Bytes {
 public:
  template <class T>
  Bytes& Add(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Bytes& Text(std::string_view text) { return Add<uint64_t>(text.size()).Raw(text); }
  Bytes& Raw(std::string_view text) { return text_ += text, *this; }
  Bytes& Zeros(uint64_t alignment) {
    text_.resize((text_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  Bytes& Data(uint64_t size) { return text_.resize(text_.size() + size), *this; }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

Bytes Header(uint64_t tensors, uint64_t pairs, uint32_t version = 3) {
  return Bytes().Raw("GGUF").Add(version).Add(tensors).Add(pairs);
}

// {in, out}, as the file has them.
Bytes& AddTensor(Bytes& bytes, std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                 uint64_t begin) {
  bytes.Text(name).Add(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) bytes.Add(size);
  return bytes.Add(type).Add(begin);
}

constexpr uint32_t kU32 = 4, kBool = 7, kString = 8, kArray = 9;
constexpr uint32_t kF32Id = 0, kQ4KId = 12;

Bytes OnePair(std::string_view key, uint32_t type) { return Header(0, 1).Text(key).Add(type); }

Bytes OneTensor(std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                uint64_t begin = 0) {
  Bytes bytes = Header(1, 0);
  AddTensor(bytes, name, std::move(sizes), type, begin);
  return bytes;
}

Bytes TwoTensors(std::string_view second, uint64_t begin) {
  Bytes bytes = Header(2, 0);
  AddTensor(bytes, "a", {3}, kF32Id, 0);
  AddTensor(bytes, second, {3}, kF32Id, begin);
  return bytes;
}

Result<GgufHeader> Parse(const Bytes& bytes) {
  return ParseGgufHeader(bytes.str(), bytes.str().size());
}

GgufMetadata EveryValueType() {
  return {{"a.u8", uint8_t{255}},
          {"a.i8", int8_t{-128}},
          {"a.u16", uint16_t{65535}},
          {"a.i16", int16_t{-32768}},
          {"a.u32", uint32_t{4294967295}},
          {"a.i32", std::numeric_limits<int32_t>::min()},
          {"a.f32", 0x1.fp-130f},
          {"a.true", true},
          {"a.false", false},
          {"a.string", std::string("any bytes: \xFF\0 \n", 15)},
          {"a.u64", std::numeric_limits<uint64_t>::max()},
          {"a.i64", std::numeric_limits<int64_t>::min()},
          {"a.f64", -0.0},
          {"b.u8", std::vector<uint8_t>{1, 2}},
          {"b.i8", std::vector<int8_t>{-1}},
          {"b.u16", std::vector<uint16_t>{1, 2, 3}},
          {"b.i16", std::vector<int16_t>{-1, 0}},
          {"b.u32", std::vector<uint32_t>{}},
          {"b.i32", std::vector<int32_t>{1, -1}},
          {"b.f32", std::vector<float>{1.5f, -0.0f}},
          {"b.bool", std::vector<bool>{true, false, true}},
          {"b.string", std::vector<std::string>{"", "\xC0", "Ġtoken"}},
          {"b.u64", std::vector<uint64_t>{7}},
          {"b.i64", std::vector<int64_t>{-7}},
          {"b.f64", std::vector<double>{0.1}}};
}

std::vector<TensorInfo> EveryType() {
  std::vector<TensorInfo> tensors;
  for (const DtypeInfo& row : AllDtypes()) {
    if (!row.ggml) continue;
    tensors.push_back(
        TensorInfo::Make(std::string(row.name), row.dtype, {3, 5, row.block}).value());
  }
  tensors.push_back(TensorInfo::Make("scalar", Dtype::kF32, {}).value());
  tensors.push_back(TensorInfo::Make("empty", Dtype::kF32, {0, 7}).value());
  tensors.push_back(TensorInfo::Make("4-d", Dtype::kF16, {2, 1, 3, 4}).value());
  return tensors;
}

std::vector<const TensorInfo*> Pointers(const std::vector<TensorInfo>& tensors) {
  std::vector<const TensorInfo*> pointers;
  for (const TensorInfo& tensor : tensors) pointers.push_back(&tensor);
  return pointers;
}

std::string Written(const GgufMetadata& metadata, const std::vector<TensorInfo>& tensors) {
  FileLayout layout = MakeGgufContainer(metadata)->Layout(Pointers(tensors)).value();
  layout.header.resize(layout.bytes);
  return layout.header;
}

TEST(Gguf, EveryValueAndTypeComesBack) {
  const std::vector<TensorInfo> tensors = EveryType();
  const auto layout = MakeGgufContainer(EveryValueType())->Layout(Pointers(tensors));
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->bytes % kGgufAlignment, 0u);
  const auto header = ParseGgufHeader(layout->header, layout->bytes);
  ASSERT_TRUE(header) << header.error().Text();
  EXPECT_EQ(header->metadata, EveryValueType());
  EXPECT_EQ(header->data_begin, layout->header.size());
  EXPECT_EQ(header->data_begin + header->data_bytes, layout->bytes);
  ASSERT_EQ(header->entries.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(header->entries[i].info, tensors[i]);
    EXPECT_EQ(header->data_begin + header->entries[i].begin, layout->offsets[i]);
    EXPECT_EQ(layout->offsets[i] % kGgufAlignment, 0u);
  }
}

TEST(Gguf, SizesAreInnermostFirst) {
  Bytes bytes = OneTensor("t", {256, 7, 5}, kQ4KId);
  const auto header = Parse(bytes.Zeros(32).Data(5 * 7 * 144).Zeros(32));
  ASSERT_TRUE(header) << header.error().Text();
  EXPECT_EQ(header->entries[0].info.Describe(), "Q4_K [5, 7, 256]");
  const std::vector<TensorInfo> same = {header->entries[0].info};
  EXPECT_EQ(Written({}, same), bytes.str());
}

TEST(Gguf, ValuesAreFoundByKeyAndType) {
  const GgufMetadata metadata = {{"a", uint32_t{7}}, {"b", std::vector<float>{1}}};
  EXPECT_EQ(*FindValue<uint32_t>(metadata, "a"), 7u);
  EXPECT_EQ(FindValue<int32_t>(metadata, "a"), nullptr);
  EXPECT_EQ(FindValue<uint32_t>(metadata, "c"), nullptr);
  EXPECT_EQ(TypeName(*Find(metadata, "a")), "u32");
  EXPECT_EQ(TypeName(*Find(metadata, "b")), "array of f32");
}

TEST(Gguf, AcceptsWhatOtherWritersLeaveOut) {
  EXPECT_TRUE(Parse(Header(0, 0))) << "padding before no data";
  EXPECT_TRUE(Parse(Header(0, 0).Zeros(32)));
  EXPECT_TRUE(Parse(OneTensor("t", {3}, kF32Id).Zeros(32).Data(12))) << "padding after the data";
  EXPECT_TRUE(Parse(OneTensor("t", {3}, kF32Id).Zeros(32).Data(32)));
  Bytes wide = Header(1, 1).Text("general.alignment").Add(kU32).Add(uint32_t{128});
  const auto header = Parse(AddTensor(wide, "t", {3}, kF32Id, 0).Zeros(128).Data(128));
  ASSERT_TRUE(header) << header.error().Text();
  EXPECT_EQ(header->alignment, 128u);
}

struct BadFile {
  const char* what;
  Bytes bytes;
  ErrorCode code;
};

// What CVE-2024-21802, -21836, -23496, -23605 and -2025-53630 grew from: counts and sizes that are
// multiplied, added up or allocated before anything bounds them.
TEST(Gguf, RefusesSizesThatTheFileCannotHold) {
  using enum ErrorCode;
  constexpr uint64_t kHuge = uint64_t{1} << 62, kNegative = UINT64_MAX;
  Bytes sum = Header(8, 0);
  for (uint64_t i = 0; i < 8; ++i) {
    AddTensor(sum, std::string(1, static_cast<char>('a' + i)), {uint64_t{1} << 47, 1 << 11}, kF32Id,
              i << 60);
  }
  const BadFile files[] = {
      {"more tensors than bytes", Header(kHuge, 0).Zeros(32), kTooManyTensors},
      {"a negative number of tensors", Header(kNegative, 0).Zeros(32), kTooManyTensors},
      {"more pairs than bytes", Header(0, kHuge).Zeros(32), kBadMetadata},
      {"a negative number of pairs", Header(0, kNegative).Zeros(32), kBadMetadata},
      {"more pairs than a header may have", Header(0, 70000).Data(2 << 20), kBadMetadata},
      {"a key past the end", Header(0, 1).Add(kHuge).Data(64), kTruncated},
      {"a key of negative size", Header(0, 1).Add(kNegative).Data(64), kTruncated},
      {"a string past the end", OnePair("k", kString).Add(uint64_t{65}).Data(64), kTruncated},
      {"a string of negative size", OnePair("k", kString).Add(kNegative).Data(64), kTruncated},
      {"an array past the end", OnePair("k", kArray).Add(kU32).Add(uint64_t{17}).Data(64),
       kBadMetadata},
      {"an array of wrapping size", OnePair("k", kArray).Add(kU32).Add(kHuge).Data(64),
       kBadMetadata},
      {"more strings than lengths", OnePair("k", kArray).Add(kString).Add(uint64_t{9}).Data(64),
       kBadMetadata},
      {"a name past the end", Header(1, 0).Add(kHuge).Data(64), kTruncated},
      {"a dimension past all", OneTensor("t", {uint64_t{1} << 48}, kF32Id).Data(64), kBadShape},
      {"a negative dimension", OneTensor("t", {kNegative}, kF32Id).Data(64), kBadShape},
      {"dimensions that wrap to none",
       OneTensor("t", {uint64_t{1} << 32, uint64_t{1} << 32}, kF32Id).Data(64), kSizeOverflow},
      {"bytes that wrap to none",
       OneTensor("t", {uint64_t{1} << 47, uint64_t{1} << 15}, kF32Id).Data(64), kSizeOverflow},
      {"sizes that add up to 2^63", sum.Data(64), kSizeOverflow},
      {"a tensor past the end", OneTensor("t", {64}, kF32Id).Zeros(32).Data(224), kTruncated},
  };
  for (const BadFile& file : files) {
    const auto header = Parse(file.bytes);
    ASSERT_FALSE(header) << file.what;
    EXPECT_EQ(Name(header.error().code()), Name(file.code)) << file.what;
  }
}

TEST(Gguf, RefusesWhatReadersDisagreeOn) {
  using enum ErrorCode;
  const auto pair = [](std::string_view key) { return OnePair(key, kU32).Add(uint32_t{1}); };
  const auto alignment = [](uint32_t value) {
    return OnePair("general.alignment", kU32).Add(value).Zeros(32);
  };
  Bytes twice = Header(0, 2).Text("k").Add(kU32).Add(1u).Text("k").Add(kU32).Add(1u);
  const std::string name64(64, 'n');
  const BadFile files[] = {
      {"another magic", Bytes().Raw("GGML").Data(64), kHeaderSyntax},
      {"nothing", Bytes(), kTruncated},
      {"version 1", Header(0, 0, 1), kUnsupported},
      {"version 2", Header(0, 0, 2), kUnsupported},
      {"version 4", Header(0, 0, 4), kUnsupported},
      {"big-endian", Header(0, 0, 3u << 24), kUnsupported},
      {"an empty key", pair(""), kBadMetadata},
      {"a key that is not UTF-8", pair("\xFF"), kBadMetadata},
      {"a key twice", twice, kBadMetadata},
      {"a type that is none", OnePair("k", 13).Data(64), kBadMetadata},
      {"a negative type", OnePair("k", UINT32_MAX).Data(64), kBadMetadata},
      {"an array of arrays", OnePair("k", kArray).Add(kArray).Add(uint64_t{0}), kBadMetadata},
      {"an array of nothing", OnePair("k", kArray).Add(13u).Add(uint64_t{0}), kBadMetadata},
      {"a truth value of 2", OnePair("k", kBool).Add(uint8_t{2}), kBadMetadata},
      {"truth values of 255", OnePair("k", kArray).Add(kBool).Add(uint64_t{1}).Add(uint8_t{255}),
       kBadMetadata},
      {"alignment 0", alignment(0), kBadMetadata},
      {"alignment 4", alignment(4), kBadMetadata},
      {"alignment 48", alignment(48), kBadMetadata},
      {"alignment 2^31", alignment(1u << 31), kBadMetadata},
      {"an alignment of 64 bits", OnePair("general.alignment", 10).Add(uint64_t{32}).Zeros(32),
       kBadMetadata},
      {"an unnamed tensor", OneTensor("", {3}, kF32Id).Data(64), kBadTensorEntry},
      {"a name of 64 bytes", OneTensor(name64, {3}, kF32Id).Data(64), kBadTensorEntry},
      {"a name that is not UTF-8", OneTensor("\xC0", {3}, kF32Id).Data(64), kBadTensorEntry},
      {"five dimensions", OneTensor("t", {1, 1, 1, 1, 1}, kF32Id).Data(64), kRankTooLarge},
      {"2^31 dimensions", Header(1, 0).Text("t").Add(1u << 31).Data(64), kRankTooLarge},
      {"a type that was removed", OneTensor("t", {32}, 4).Data(64), kUnknownDtype},
      {"a type that never was", OneTensor("t", {32}, 1000).Data(64), kUnknownDtype},
      {"rows of half a block", OneTensor("t", {128, 2}, kQ4KId).Data(256), kBadShape},
      {"a first tensor that begins late", OneTensor("t", {8}, kF32Id, 32).Data(128), kHole},
      {"a gap", TwoTensors("b", 64).Zeros(32).Data(96), kHole},
      {"an overlap", TwoTensors("b", 0).Zeros(32).Data(64), kOverlap},
      {"an unpadded tensor", TwoTensors("b", 12).Zeros(32).Data(64), kOverlap},
      {"a name twice", TwoTensors("a", 32).Zeros(32).Data(64), kDuplicateTensor},
      {"bytes before the data", OneTensor("t", {8}, kF32Id).Raw("x").Zeros(32).Data(32),
       kTrailingBytes},
      {"bytes after the data", OneTensor("t", {8}, kF32Id).Zeros(32).Data(64), kTrailingBytes},
      {"half the padding", OneTensor("t", {3}, kF32Id).Zeros(32).Data(20), kTruncated},
      {"no tensor, but data", Header(0, 0).Zeros(32).Data(32), kTrailingBytes},
  };
  for (const BadFile& file : files) {
    const auto header = Parse(file.bytes);
    ASSERT_FALSE(header) << file.what;
    EXPECT_EQ(Name(header.error().code()), Name(file.code)) << file.what;
  }
}

TEST(Gguf, NoBeginningOfAFileIsAFile) {
  const std::vector<TensorInfo> tensors = EveryType();
  const std::string file = Written(EveryValueType(), tensors);
  const uint64_t end = file.size() - PadTo(tensors.back().bytes(), 32) + tensors.back().bytes();
  for (size_t size = 0; size < file.size(); ++size) {
    ASSERT_EQ(ParseGgufHeader(std::string_view(file).substr(0, size), size).has_value(),
              size == end)
        << size;
  }
}

// Whatever a damaged header says, what is accepted lies within the file.
TEST(Gguf, DamagedHeadersAreRefusedOrHarmless) {
  const std::vector<TensorInfo> tensors = EveryType();
  const std::string good = Written(EveryValueType(), tensors);
  const size_t header_bytes = ParseGgufHeader(good, good.size())->data_begin;
  size_t accepted = 0;
  for (size_t at = 0; at < header_bytes; ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      const auto header = ParseGgufHeader(bad, bad.size());
      if (!header) continue;
      ++accepted;
      for (const GgufEntry& entry : header->entries) {
        ASSERT_LE(entry.begin + entry.info.bytes(), header->data_bytes) << at;
      }
    }
  }
  EXPECT_GT(accepted, 0u) << "values of metadata may be any";
}

TEST(Gguf, ReadsHeadersOfAnySizeFromFiles) {
  const TempDir dir;
  for (const size_t tokens : {size_t{0}, size_t{100'000}, size_t{400'000}}) {
    std::vector<std::string> vocabulary(tokens);
    for (size_t i = 0; i < tokens; ++i) vocabulary[i] = "token " + std::to_string(i);
    const GgufMetadata metadata = {{"tokens", vocabulary}, {"after", uint32_t{1}}};
    const std::string bytes = Written(metadata, EveryType());
    const auto path = dir.path() / "x.gguf";
    std::ofstream(path, std::ios::binary) << bytes;
    std::string raw;
    const auto header = ReadGgufHeader(File::OpenRead(path).value(), &raw);
    ASSERT_TRUE(header) << header.error().Text();
    EXPECT_EQ(header->metadata, metadata);
    EXPECT_EQ(raw, bytes.substr(0, header->data_begin));
    std::ofstream(path, std::ios::binary) << bytes.substr(0, bytes.size() / 2);
    const auto half = ReadGgufHeader(File::OpenRead(path).value());
    ASSERT_FALSE(half);
    EXPECT_EQ(half.error().file(), path.string());
  }
}

TEST(Gguf, WriterRefusesWhatReadersWould) {
  const auto expect = [](const GgufMetadata& metadata, const std::vector<TensorInfo>& tensors,
                         ErrorCode code) {
    const auto header = RenderGgufHeader(metadata, Pointers(tensors));
    ASSERT_FALSE(header) << Name(code);
    EXPECT_EQ(Name(header.error().code()), Name(code));
  };
  const auto f32 = [](std::string name, Shape shape) {
    return TensorInfo::Make(std::move(name), Dtype::kF32, std::move(shape)).value();
  };
  expect({{"", true}}, {}, ErrorCode::kBadMetadata);
  expect({{"\xFF", true}}, {}, ErrorCode::kBadMetadata);
  expect({{"a", true}, {"a", false}}, {}, ErrorCode::kBadMetadata);
  expect({{"general.alignment", uint32_t{64}}}, {}, ErrorCode::kBadMetadata);
  expect({}, {f32("", {1})}, ErrorCode::kBadTensorEntry);
  expect({}, {f32(std::string(64, 'n'), {1})}, ErrorCode::kBadTensorEntry);
  expect({}, {f32("\xFF", {1})}, ErrorCode::kBadTensorEntry);
  expect({}, {f32("a", {1}), f32("a", {1})}, ErrorCode::kDuplicateTensor);
  expect({}, {f32("a", {1, 1, 1, 1, 1})}, ErrorCode::kBadTensorEntry);
  expect({}, {TensorInfo::Make("a", Dtype::kF8E4M3, {1}).value()}, ErrorCode::kUnknownDtype);
  std::vector<TensorInfo> many;
  for (int i = 0; i < 8; ++i) {
    many.push_back(f32(std::to_string(i), {uint64_t{1} << 47, uint64_t{1} << 11}));
  }
  expect({}, many, ErrorCode::kSizeOverflow);
}

}  // namespace
}  // namespace tessera
