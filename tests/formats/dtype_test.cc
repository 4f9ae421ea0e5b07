#include "formats/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tessera {
namespace {

TEST(Dtype, EveryNameParsesBackAndOnlyExactly) {
  EXPECT_EQ(AllDtypes().size(), 22u + 27u);
  for (const DtypeInfo& row : AllDtypes()) {
    EXPECT_EQ(ParseDtype(row.name), row.dtype);
    EXPECT_EQ(Name(row.dtype), row.name);
    EXPECT_EQ(&Info(row.dtype), &row);
    std::string lower(row.name);
    lower[0] = static_cast<char>(lower[0] + 32);
    EXPECT_EQ(ParseDtype(lower), std::nullopt) << lower;
    EXPECT_EQ(ParseDtype(std::string(row.name) + " "), std::nullopt) << row.name;
  }
  for (const char* none : {"", "I4", "U4", "F8", "FP8", "BFLOAT16", "F128", "Q4_K_M"}) {
    EXPECT_EQ(ParseDtype(none), std::nullopt) << none;
  }
}

TEST(Dtype, SafetensorsKnowsAllButBlockTypes) {
  for (const DtypeInfo& row : AllDtypes()) {
    EXPECT_EQ(ParseSafetensorsDtype(row.name).has_value(), row.dtype <= Dtype::kU64) << row.name;
    EXPECT_EQ(row.is_block(), row.dtype > Dtype::kU64) << row.name;
  }
}

// Ids 4, 5, 31 to 33 and 36 to 38 were types once; the last one that ggml knows is 42.
TEST(Dtype, GgmlsIdsLeadBackAndGapsNowhere) {
  const std::set<uint64_t> gaps = {4, 5, 31, 32, 33, 36, 37, 38};
  for (uint64_t id = 0; id < 300; ++id) {
    const auto dtype = DtypeOfGgml(id);
    ASSERT_EQ(dtype.has_value(), id <= 42 && !gaps.contains(id)) << id;
    if (dtype) {
      EXPECT_EQ(Info(*dtype).ggml, id);
    }
  }
  EXPECT_EQ(DtypeOfGgml(uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(DtypeOfGgml(12), Dtype::kQ4_K);
  EXPECT_EQ(DtypeOfGgml(30), Dtype::kBF16);
}

TEST(Dtype, BitsFollowFromTheNames) {
  for (const DtypeInfo& row : AllDtypes()) {
    if (row.is_block()) continue;
    const size_t digits = row.name.find_first_of("0123456789");
    const uint64_t bits = row.name == "BOOL" ? 8 : std::stoul(std::string(row.name.substr(digits)));
    EXPECT_EQ(BitsOf(row.dtype), bits) << row.name;
  }
}

TEST(Dtype, PlainFloatsAreTheThreeThatCastWithoutScale) {
  for (const DtypeInfo& row : AllDtypes()) {
    EXPECT_EQ(IsPlainFloat(row.dtype), row.name == "F32" || row.name == "F16" || row.name == "BF16")
        << row.name;
  }
}

}  // namespace
}  // namespace tessera
