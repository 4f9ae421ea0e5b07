#include "formats/dtype.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera {
namespace {

TEST(Dtype, EveryNameParsesBackAndOnlyExactly) {
  EXPECT_EQ(AllDtypes().size(), 22u);
  for (const DtypeInfo& row : AllDtypes()) {
    EXPECT_EQ(ParseDtype(row.name), row.dtype);
    EXPECT_EQ(Name(row.dtype), row.name);
    EXPECT_EQ(&Info(row.dtype), &row);
    std::string lower(row.name);
    lower[0] = static_cast<char>(lower[0] + 32);
    EXPECT_EQ(ParseDtype(lower), std::nullopt) << lower;
    EXPECT_EQ(ParseDtype(std::string(row.name) + " "), std::nullopt) << row.name;
  }
  for (const char* none : {"", "I4", "U4", "F8", "FP8", "BFLOAT16", "F128"}) {
    EXPECT_EQ(ParseDtype(none), std::nullopt) << none;
  }
}

TEST(Dtype, BitsFollowFromTheNames) {
  for (const DtypeInfo& row : AllDtypes()) {
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
