#include "formats/result.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>

namespace tessera {
namespace {

TEST(Error, TextSaysWhatWhereExpectedFoundNext) {
  const Error error = Error(ErrorCode::kSizeMismatch, "sizes differ")
                          .Of("model.norm.weight")
                          .In("a.safetensors")
                          .Expected("8 bytes")
                          .Found("7 bytes")
                          .Next("fetch the file again");
  EXPECT_EQ(error.Text(),
            "sizes differ\n"
            "  tensor:    model.norm.weight\n"
            "  in:        a.safetensors\n"
            "  expected:  8 bytes\n"
            "  found:     7 bytes\n"
            "  fetch the file again");
}

TEST(Error, TextLeavesOutWhatItKnowsNothingOfOrHasSaid) {
  EXPECT_EQ(Error(ErrorCode::kNoConfig, "no config").Text(), "no config");
  EXPECT_EQ(Error(ErrorCode::kUnknownTensor, "x.weight is unknown").Of("x.weight").Text(),
            "x.weight is unknown");
}

TEST(Error, TextCannotSteerATerminalOrFillIt) {
  const Error error =
      Error(ErrorCode::kHole, "w\x1B[2J").Of("a\nb\x7F").Found(std::string(100'000, 'x'));
  const std::string text = error.Text();
  EXPECT_EQ(text.find('\x1B'), std::string::npos);
  EXPECT_NE(text.find("w\\x1b[2J\n  tensor:    a\\x0ab\\x7f\n"), std::string::npos) << text;
  EXPECT_LT(text.size(), 2000u);
}

TEST(Error, WithinDoesNotReplaceTheNearerPlace) {
  EXPECT_EQ(Error(ErrorCode::kHole, "w").In("near").Within("far").file(), "near");
  EXPECT_EQ(Error(ErrorCode::kHole, "w").Within("far").file(), "far");
}

TEST(ErrorCode, NamesAreUniqueAndInKebabCase) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(ErrorCode::kDigestMismatch); ++i) {
    const std::string_view name = Name(static_cast<ErrorCode>(i));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"),
              std::string_view::npos)
        << name;
  }
}

Result<int> Half(int n) {
  if (n % 2 != 0) return Fail(ErrorCode::kUsage, "odd");
  return n / 2;
}
Result<int> Quarter(int n) {
  TESSERA_ASSIGN(const int half, Half(n));
  TESSERA_TRY(Half(half));
  return half / 2;
}

TEST(Result, MacrosPassValuesAndErrorsOn) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(3).error().what(), "odd");
  EXPECT_EQ(Quarter(2).error().what(), "odd");
}

TEST(Check, BrokenInvariantsNameTheConditionAndPlace) {
  EXPECT_NO_THROW(TESSERA_CHECK(1 + 1 == 2));
  try {
    TESSERA_CHECK(1 + 1 == 3);
    FAIL();
  } catch (const std::logic_error& error) {
    EXPECT_NE(std::string(error.what()).find("1 + 1 == 3"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("result_test.cc"), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera
