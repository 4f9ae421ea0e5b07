#include "verify/tokenizer_match.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

class TokenizerMatchTest : public testing::Test {
 protected:
  TokenizerMatchTest() {
    std::filesystem::create_directory(a_);
    std::filesystem::create_directory(b_);
  }
  bool Same(const std::string& file, const std::string& a, const std::string& b) {
    dir_.Write("a/" + file, a);
    dir_.Write("b/" + file, b);
    const Result<void> result = CheckSameTokenizer(a_, b_);
    EXPECT_TRUE(result || result.error().code() == ErrorCode::kUsage);
    return result.has_value();
  }

  const TempDir dir_;
  const std::filesystem::path a_ = dir_ / "a", b_ = dir_ / "b";
};

constexpr const char* kTokenizer =
    R"({"added_tokens":[{"id":3,"content":"<s>","special":true}],"model":{"vocab":{"a":0,"b":1}}})";

TEST_F(TokenizerMatchTest, FormattingAndEverythingButTheTokensMayDiffer) {
  EXPECT_TRUE(Same("tokenizer.json", kTokenizer, R"({
      "truncation": {"id": 7, "vocab": {"x": 9}},
      "model": {"type": "BPE", "merges": [["a", "b"]], "vocab": {"b": 1, "a": 0}},
      "added_tokens": [{"content": "<s>", "id": 3}] })"));
}

TEST_F(TokenizerMatchTest, AnotherIdOrAnotherTokenIsRefused) {
  for (const char* other :
       {R"({"added_tokens":[{"id":3,"content":"<s>"}],"model":{"vocab":{"a":1,"b":0}}})",
        R"({"added_tokens":[{"id":4,"content":"<s>"}],"model":{"vocab":{"a":0,"b":1}}})",
        R"({"added_tokens":[{"id":3,"content":"<x>"}],"model":{"vocab":{"a":0,"b":1}}})",
        R"({"added_tokens":[{"id":3,"content":"<s>"}],"model":{"vocab":{"a":0,"b":1,"c":2}}})",
        R"({"added_tokens":[],"model":{"vocab":{"a":0,"b":1}}})"}) {
    EXPECT_FALSE(Same("tokenizer.json", kTokenizer, other)) << other;
  }
}

TEST_F(TokenizerMatchTest, OfTiktokenFilesTheBytesCount) {
  EXPECT_TRUE(Same("tiktoken.model", "YQ== 0\n", "YQ== 0\n"));
  EXPECT_FALSE(Same("tiktoken.model", "YQ== 0\n", "YQ== 1\n"));
}

TEST_F(TokenizerMatchTest, OneWithoutATokenizerHasNothingToSay) {
  EXPECT_TRUE(CheckSameTokenizer(a_, b_));
  dir_.Write("a/tokenizer.json", kTokenizer);
  EXPECT_TRUE(CheckSameTokenizer(a_, b_));
}

}  // namespace
}  // namespace tessera
