#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "formats/safetensors.h"

namespace tessera {
namespace {

TensorInfo Tensor(const char* name, Dtype dtype, Shape shape) {
  auto info = TensorInfo::Make(name, dtype, std::move(shape));
  EXPECT_TRUE(info);
  return *info;
}

// In the order of upstream's writer: dtype rank descending, then name.
std::vector<TensorInfo> UpstreamTensors() {
  return {
      Tensor("idx", Dtype::kI64, {2}),
      Tensor("scalar", Dtype::kF64, {}),
      Tensor("m.scale", Dtype::kF32, {1}),
      Tensor("i", Dtype::kI32, {2}),
      Tensor("a.weight", Dtype::kBF16, {2, 2}),
      Tensor("b.weight", Dtype::kBF16, {1}),
      Tensor("half", Dtype::kF16, {0, 5}),
      Tensor("e8", Dtype::kF8E8M0, {4}),
      Tensor("z.weight", Dtype::kF8E4M3, {2, 3}),
      Tensor("q\"uote\\ü/é", Dtype::kI8, {2}),
      Tensor("u", Dtype::kU8, {1}),
      Tensor("flag", Dtype::kBool, {3}),
  };
}

Result<std::string> Render(const std::vector<TensorInfo>& tensors,
                           const SafetensorsMetadata& metadata = {}) {
  std::vector<const TensorInfo*> pointers;
  for (const TensorInfo& tensor : tensors) pointers.push_back(&tensor);
  return RenderSafetensorsHeader(pointers, metadata);
}

// What safetensors 0.8.0 (Python) writes for UpstreamTensors() handed over in any order.
constexpr std::string_view kGoldenTensors =
    R"("idx":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
    R"("scalar":{"dtype":"F64","shape":[],"data_offsets":[16,24]},)"
    R"("m.scale":{"dtype":"F32","shape":[1],"data_offsets":[24,28]},)"
    R"("i":{"dtype":"I32","shape":[2],"data_offsets":[28,36]},)"
    R"("a.weight":{"dtype":"BF16","shape":[2,2],"data_offsets":[36,44]},)"
    R"("b.weight":{"dtype":"BF16","shape":[1],"data_offsets":[44,46]},)"
    R"("half":{"dtype":"F16","shape":[0,5],"data_offsets":[46,46]},)"
    R"("e8":{"dtype":"F8_E8M0","shape":[4],"data_offsets":[46,50]},)"
    R"("z.weight":{"dtype":"F8_E4M3","shape":[2,3],"data_offsets":[50,56]},)"
    R"("q\"uote\\ü/é":{"dtype":"I8","shape":[2],"data_offsets":[56,58]},)"
    R"("u":{"dtype":"U8","shape":[1],"data_offsets":[58,59]},)"
    R"("flag":{"dtype":"BOOL","shape":[3],"data_offsets":[59,62]}})";

TEST(SafetensorsWriter, GivesUpstreamsBytes) {
  struct Case {
    std::vector<TensorInfo> tensors;
    SafetensorsMetadata metadata;
    std::string length, json;
  };
  const std::string golden(kGoldenTensors);
  const Case cases[] = {
      {UpstreamTensors(), {}, std::string("\xD8\x02\0\0\0\0\0\0", 8), "{" + golden},
      {UpstreamTensors(),
       {{"format", "pt"}},
       std::string("\xF8\x02\0\0\0\0\0\0", 8),
       R"({"__metadata__":{"format":"pt"},)" + golden + " "},
      {UpstreamTensors(),
       {{"not\te", "x\"\\\x01\n\x7Fü\u2028/"}},
       std::string("\x10\x03\0\0\0\0\0\0", 8),
       R"({"__metadata__":{"not\te":"x\"\\\u0001\n)"
       "\x7F"
       "ü\u2028/\"}," +
           golden + "       "},
      {{}, {}, std::string("\x08\0\0\0\0\0\0\0", 8), "{}      "},
      {{},
       {{"a", "b"}},
       std::string("\x20\0\0\0\0\0\0\0", 8),
       R"({"__metadata__":{"a":"b"}}      )"},
  };
  for (const Case& c : cases) {
    const auto header = Render(c.tensors, c.metadata);
    ASSERT_TRUE(header) << header.error().Text();
    EXPECT_EQ(*header, c.length + c.json);
  }
}

TEST(SafetensorsWriter, DtypeRankIsUpstreamsOrder) {
  std::vector<TensorInfo> tensors = UpstreamTensors();
  std::ranges::sort(tensors, [](const TensorInfo& a, const TensorInfo& b) {
    return a.dtype() != b.dtype() ? a.dtype() > b.dtype() : a.name() < b.name();
  });
  EXPECT_EQ(tensors, UpstreamTensors());
}

TEST(SafetensorsWriter, ReaderReadsBackWhatWasGivenForEveryDtypeAndPadding) {
  for (const DtypeInfo& row : AllDtypes()) {
    if (row.is_block()) continue;
    for (size_t name_size = 1; name_size <= 8; ++name_size) {
      const std::string name(name_size, 'n');
      const std::vector<TensorInfo> tensors = {Tensor(name.c_str(), row.dtype, {3, 8}),
                                               Tensor("z", row.dtype, {0}),
                                               Tensor("é", Dtype::kU8, {5})};
      const auto header = Render(tensors, {{"format", "pt"}});
      ASSERT_TRUE(header);
      EXPECT_EQ(header->size() % 8, 0u);
      const auto back =
          ParseSafetensorsHeader(std::string_view(*header).substr(8), tensors[0].bytes() + 5);
      ASSERT_TRUE(back) << back.error().Text();
      ASSERT_EQ(back->entries.size(), 3u);
      for (size_t i = 0; i < 3; ++i) EXPECT_EQ(back->entries[i].info, tensors[i]);
      EXPECT_EQ(back->metadata, (SafetensorsMetadata{{"format", "pt"}}));
      EXPECT_EQ(back->data_begin, header->size());
    }
  }
}

TEST(SafetensorsWriter, RefusesWhatReadersWouldMisread) {
  const auto expect = [](const std::vector<TensorInfo>& tensors,
                         const SafetensorsMetadata& metadata, ErrorCode code) {
    const auto header = Render(tensors, metadata);
    ASSERT_FALSE(header) << Name(code);
    EXPECT_EQ(Name(header.error().code()), Name(code));
  };
  const auto u8 = [](const char* name) { return Tensor(name, Dtype::kU8, {1}); };
  expect({u8("a"), u8("b"), u8("a")}, {}, ErrorCode::kDuplicateTensor);
  expect({u8("__metadata__")}, {}, ErrorCode::kBadTensorEntry);
  expect({u8("a\nb")}, {}, ErrorCode::kBadTensorEntry);
  expect({u8("a\x7F")}, {}, ErrorCode::kBadTensorEntry);
  expect({u8("\xFF")}, {}, ErrorCode::kBadTensorEntry);
  expect({Tensor("a", Dtype::kQ8_0, {32})}, {}, ErrorCode::kUnknownDtype);
  expect({}, {{"a", "1"}, {"a", "2"}}, ErrorCode::kJsonDuplicateKey);
  expect({}, {{"a", "\xC0\xAF"}}, ErrorCode::kHeaderNotUtf8);
  expect({}, {{"a", std::string(100'000'000, 'x')}}, ErrorCode::kHeaderTooLarge);
  const Shape huge = {uint64_t{1} << 47, uint64_t{1} << 13};
  std::vector<TensorInfo> many;
  for (int i = 0; i < 16; ++i) many.push_back(Tensor(std::to_string(i).c_str(), Dtype::kU8, huge));
  expect(many, {}, ErrorCode::kSizeOverflow);
}

}  // namespace
}  // namespace tessera
