// Against what `tokenizers`, `tiktoken` and llama.cpp's converter make of the same files
// (tests/golden/make_tokenizer_golden.py).
#include <gtest/gtest.h>

#include <string>

#include "formats/json.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_gguf.h"

namespace tessera {
namespace {

std::string Folder(const std::string& shape) {
  return TESSERA_TEST_DIR "/golden/tokenizer/" + shape;
}

class TokenizerGolden : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerGolden, IdsAreThoseOfUpstream) {
  const Result<Tokenizer> tokenizer = Tokenizer::Open(Folder(GetParam()));
  ASSERT_TRUE(tokenizer) << tokenizer.error().Text();
  const Json golden = ReadJsonFile(Folder(GetParam()) + "/golden.json").value();
  ASSERT_GT(golden["cases"].size(), 100u);
  for (const Json& one : golden["cases"]) {
    const auto ids = tokenizer->Encode(one[0].get<std::string>());
    ASSERT_TRUE(ids) << ids.error().Text();
    EXPECT_EQ(Json(*ids), one[1]) << one[0];
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TokenizerGolden,
                         testing::Values("v3", "v2", "coder", "glm", "kimi"));

class TokenizerGgufGolden : public testing::TestWithParam<const char*> {};

// Keys, their order, values, and the types that strings, ids and flags have.
TEST_P(TokenizerGgufGolden, KeysAreThoseOfTheConverter) {
  const Json config = ReadJsonFile(Folder(GetParam()) + "/config.json").value();
  const Result<GgufMetadata> metadata = TokenizerMetadata(Folder(GetParam()), config);
  ASSERT_TRUE(metadata) << metadata.error().Text();
  const Json golden = ReadJsonFile(Folder(GetParam()) + "/gguf.json").value();
  ASSERT_EQ(metadata->size(), golden.size());
  for (size_t i = 0; i < golden.size(); ++i) {
    const auto& [key, value] = (*metadata)[i];
    EXPECT_EQ(Json(key), golden[i][0]);
    EXPECT_EQ(std::visit([](const auto& v) { return Json(v); }, value), golden[i][2]) << key;
    const Json& type = golden[i][1];
    EXPECT_EQ(std::holds_alternative<std::string>(value), type == Json("str")) << key;
    EXPECT_EQ(std::holds_alternative<uint32_t>(value), type == Json("u32")) << key;
    EXPECT_EQ(std::holds_alternative<bool>(value), type == Json("bool")) << key;
    const bool types = key == "tokenizer.ggml.token_type";
    EXPECT_EQ(std::holds_alternative<std::vector<int32_t>>(value), types) << key;
    EXPECT_EQ(std::holds_alternative<std::vector<std::string>>(value),
              type == Json("array") && !types)
        << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TokenizerGgufGolden, testing::Values("v3", "v2", "coder", "kimi"));

}  // namespace
}  // namespace tessera
