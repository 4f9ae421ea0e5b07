#include "verify/token_texts.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

TEST(TokenTexts, TextIsShownAsItIsReadAndNothingSteersATerminal) {
  EXPECT_EQ(QuotedText(" the"), "\" the\"");
  EXPECT_EQ(QuotedText("你好 😀é"), "\"你好 😀é\"");
  EXPECT_EQ(QuotedText("say \"\\n\""), R"("say \"\\n\"")");
  EXPECT_EQ(QuotedText("\r\n\t"), R"("\r\n\t")");
  EXPECT_EQ(QuotedText("\x1b[2J\x7f"), R"("\u001b[2J\u007f")");
  // CSI of C1, zero width space, line separator, overriding direction, byte order mark.
  EXPECT_EQ(QuotedText("\xc2\x9b\xe2\x80\x8b\xe2\x80\xa8\xe2\x80\xae\xef\xbb\xbf"),
            R"("\u009b\u200b\u2028\u202e\ufeff")");
  EXPECT_EQ(QuotedText(""), "\"\"");
}

TEST(TokenTexts, PartsOfCharactersAreShownAsBytes) {
  EXPECT_EQ(QuotedText("\xe4\xbd"), R"("\xe4\xbd")");
  EXPECT_EQ(QuotedText("a\xff"), R"("a\xff")");
}

TEST(TokenTexts, LongTextsAreCutBetweenCharacters) {
  std::string most;
  for (int i = 0; i < 24; ++i) most += "你";
  EXPECT_EQ(QuotedText(most), "\"" + most + "\"");
  EXPECT_EQ(QuotedText(most + "x"), "\"" + most + "\"...");
}

TEST(TokenTexts, WithoutATokenizerAnIdIsANumber) {
  const TempDir folder;
  const uint32_t ids[] = {5, 6};
  EXPECT_TRUE(TextsOf(folder.path(), ids).empty());
  EXPECT_EQ(TokenLabel({{5, "\"a\""}}, 5), "5 \"a\"");
  EXPECT_EQ(TokenLabel({{5, "\"a\""}}, 6), "6");
}

}  // namespace
}  // namespace tessera
