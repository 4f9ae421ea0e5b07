#include "formats/tokenizer.h"

#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <string>

#include "formats/json.h"
#include "formats/tokenizer_gguf.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

constexpr const char* kGolden = TESSERA_TEST_DIR "/golden/tokenizer/";

Json V3() { return ReadJsonFile(std::string(kGolden) + "v3/tokenizer.json").value(); }

Result<Tokenizer> OpenJson(const Json& tokenizer, const Json& config = Json::object()) {
  const TempDir dir;
  dir.Write("tokenizer.json", tokenizer.dump());
  dir.Write("tokenizer_config.json", config.dump());
  return Tokenizer::Open(dir.path());
}

struct Change {
  const char* what;
  ErrorCode code;
  std::function<void(Json&)> apply;
};

// Every one of them would change ids, or is no tokenizer.
TEST(Tokenizer, WhatItDoesNotUnderstandIsRefused) {
  using enum ErrorCode;
  const Change changes[] = {
      {"a normalizer", kUnsupported, [](Json& t) { t["normalizer"] = {{"type", "NFC"}}; }},
      {"truncation", kUnsupported, [](Json& t) { t["truncation"] = {{"max_length", 5}}; }},
      {"an unknown field", kUnsupported, [](Json& t) { t["extra"] = 1; }},
      {"no splitting", kUnsupported, [](Json& t) { t["pre_tokenizer"] = nullptr; }},
      {"another pattern", kUnsupported,
       [](Json& t) { t["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\p{N}{1,4}"; }},
      {"a literal for a pattern", kUnsupported,
       [](Json& t) { t["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"String", "a"}}; }},
      {"matches removed", kUnsupported,
       [](Json& t) { t["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; }},
      {"an inverted pattern", kUnsupported,
       [](Json& t) { t["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; }},
      {"a space put in front", kUnsupported,
       [](Json& t) { t["pre_tokenizer"]["pretokenizers"][3]["add_prefix_space"] = true; }},
      {"no bytes", kUnsupported, [](Json& t) { t["pre_tokenizer"]["pretokenizers"].erase(3); }},
      {"a step after the bytes", kUnsupported,
       [](Json& t) {
         Json& steps = t["pre_tokenizer"]["pretokenizers"];
         steps.push_back(Json(steps[0]));
       }},
      {"another post-processor", kUnsupported,
       [](Json& t) { t["post_processor"] = {{"type", "BertProcessing"}}; }},
      {"another model", kUnsupported, [](Json& t) { t["model"]["type"] = "Unigram"; }},
      {"an unknown option", kUnsupported, [](Json& t) { t["model"]["extra"] = 1; }},
      {"dropout", kUnsupported, [](Json& t) { t["model"]["dropout"] = 0.1; }},
      {"fallback to bytes", kUnsupported, [](Json& t) { t["model"]["byte_fallback"] = true; }},
      {"a suffix", kUnsupported, [](Json& t) { t["model"]["end_of_word_suffix"] = "</w>"; }},
      {"a whole-word token", kUnsupported,
       [](Json& t) { t["added_tokens"][0]["single_word"] = true; }},
      {"no model", kBadTokenizer, [](Json& t) { t.erase("model"); }},
      {"a byte without a piece", kBadTokenizer, [](Json& t) { t["model"]["vocab"].erase("!"); }},
      {"two pieces with one id", kBadTokenizer, [](Json& t) { t["model"]["vocab"]["!"] = 4; }},
      {"an id out of all bounds", kBadTokenizer,
       [](Json& t) { t["model"]["vocab"]["zz"] = uint64_t{1} << 31; }},
      {"a negative id", kBadTokenizer, [](Json& t) { t["model"]["vocab"]["zz"] = -1; }},
      {"a merge of three", kBadTokenizer, [](Json& t) { t["model"]["merges"][0] = "a b c"; }},
      {"a merge of pieces that are none", kBadTokenizer,
       [](Json& t) { t["model"]["merges"][0] = {"zz", "zz"}; }},
      {"a merge twice", kBadTokenizer,
       [](Json& t) { t["model"]["merges"][1] = Json(t["model"]["merges"][0]); }},
      {"an added token under another id", kBadTokenizer,
       [](Json& t) { t["added_tokens"][4]["id"] = 700; }},
      {"an added token twice", kBadTokenizer,
       [](Json& t) { t["added_tokens"].push_back(Json(t["added_tokens"][0])); }},
      {"an added token without text", kBadTokenizer,
       [](Json& t) { t["added_tokens"][4]["content"] = ""; }},
  };
  for (const Change& change : changes) {
    Json tokenizer = V3();
    change.apply(tokenizer);
    const Result<Tokenizer> opened = OpenJson(tokenizer);
    ASSERT_FALSE(opened) << change.what;
    EXPECT_EQ(opened.error().code(), change.code) << change.what << "\n" << opened.error().Text();
  }
  EXPECT_TRUE(OpenJson(V3()));
}

TEST(Tokenizer, ConfigsThatContradictTheTokenizerAreRefused) {
  for (const Json& config :
       {Json{{"add_bos_token", true}}, Json{{"add_bos_token", true}, {"bos_token", "<s>"}},
        Json{{"add_bos_token", "yes"}},
        Json{{"added_tokens_decoder", {{"700", {{"content", "<more>"}}}}}},
        Json{{"added_tokens_decoder", {{"1", {{"content", "<think>"}}}}}}}) {
    EXPECT_FALSE(OpenJson(V3(), config)) << config;
  }
}

TEST(Tokenizer, AFolderWithoutOneIsSaidToHaveNone) {
  const TempDir dir;
  EXPECT_EQ(Tokenizer::Open(dir.path()).error().code(), ErrorCode::kNotFound);
}

TEST(Tokenizer, TextThatIsNotUtf8IsRefusedWithItsPlace) {
  const Tokenizer tokenizer = OpenJson(V3()).value();
  const auto refused = tokenizer.Encode("ab\xC0\x80");
  EXPECT_EQ(refused.error().code(), ErrorCode::kUsage);
  EXPECT_NE(refused.error().what().find("byte 2"), std::string::npos);
}

// Ids of Kimi's files follow from the order of the lines; its pattern stands in a program.
TEST(Tokenizer, TiktokenFilesAreReadStrictly) {
  const std::string folder = std::string(kGolden) + "kimi/";
  const auto read = [&](const char* name) {
    return ReadWholeFile(folder + name, kMaxConfigBytes).value();
  };
  const std::string model = read("tiktoken.model"), config = read("tokenizer_config.json"),
                    program = read("tokenization_kimi.py");
  const auto open = [](const std::string& model_text, const std::string& config_text,
                       const std::string& program_text) {
    const TempDir dir;
    dir.Write("tiktoken.model", model_text);
    dir.Write("tokenizer_config.json", config_text);
    dir.Write("tokenization_kimi.py", program_text);
    const Result<Tokenizer> opened = Tokenizer::Open(dir.path());
    return opened ? std::string("opened") : std::string(Name(opened.error().code()));
  };
  const auto replaced = [](std::string text, std::string_view from, std::string_view to) {
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_EQ(open(model, config, program), "opened");
  EXPECT_EQ(open(replaced(model, " 5\n", " 6\n"), config, program), "bad-tokenizer");
  EXPECT_EQ(open(replaced(model, "= 7\n", "  7\n"), config, program), "bad-tokenizer");
  EXPECT_EQ(open(model.substr(model.find('\n') + 1), config, program), "bad-tokenizer");
  EXPECT_EQ(open(model, "{}", program), "unsupported");
  EXPECT_EQ(open(model, replaced(config, "tokenization_kimi.", "../kimi."), program),
            "unsupported");
  EXPECT_EQ(open(model, replaced(config, "\"640\"", "\"64\""), program), "bad-tokenizer");
  EXPECT_EQ(open(model, config, replaced(program, "{1,3}", "{1,4}")), "unsupported");
  EXPECT_EQ(open(model, config, "pat_str = None\n"), "unsupported");
}

// Quadratic time would be hours here.
TEST(Tokenizer, LongHostileTextsTakeSeconds) {
  constexpr size_t kBytes = size_t{1} << 18;
  for (const char* shape : {"v3", "v2", "coder", "glm", "kimi"}) {
    const Tokenizer tokenizer = Tokenizer::Open(std::string(kGolden) + shape).value();
    for (const std::string& unit :
         {std::string("a"), std::string(" "), std::string("\n"), std::string("A"), std::string("<"),
          std::string("1"), std::string("\u6C38"), std::string("\u0301"), std::string("! "),
          std::string("<strip> ")}) {
      std::string text;
      while (text.size() < kBytes) text += unit;
      const std::clock_t begin = std::clock();
      EXPECT_TRUE(tokenizer.Encode(text + "\u6C38"));
      EXPECT_LT(std::clock() - begin, 30 * CLOCKS_PER_SEC) << shape << " " << unit;
    }
  }
}

TEST(TokenizerMetadata, WhatAGgufFileCannotCarryIsRefused) {
  const std::string v3 = std::string(kGolden) + "v3", glm = std::string(kGolden) + "glm";
  const auto code = [](const std::string& folder, const Json& config) {
    return TokenizerMetadata(folder, config).error().code();
  };
  EXPECT_EQ(code(glm, {{"vocab_size", 660}}), ErrorCode::kUnsupported);
  EXPECT_EQ(code(v3, {{"vocab_size", 639}}), ErrorCode::kBadTokenizer);
  EXPECT_EQ(code(v3, {{"vocab_size", "many"}}), ErrorCode::kBadTokenizer);
  EXPECT_EQ(code(v3, {{"vocab_size", 660}, {"unk_token_id", 660}}), ErrorCode::kBadTokenizer);
  EXPECT_EQ(code(v3, {{"vocab_size", 647}}), ErrorCode::kBadTokenizer);
  EXPECT_TRUE(TokenizerMetadata(v3, {{"vocab_size", 648}}));
}

// Quadratic time would be seconds here: nothing ends the list.
TEST(Tokenizer, AProgramOfManyPatternsIsReadInLinearTime) {
  std::string program = "pat_str = \"|\".join(";
  while (program.size() + 8 < 1 << 20) program += "r\"\"\"a\"\"\"";
  const TempDir dir;
  dir.Write("tiktoken.model", "");
  dir.Write("tokenizer_config.json",
            R"({"auto_map": {"AutoTokenizer": "tokenization_kimi.TikTokenTokenizer"}})");
  dir.Write("tokenization_kimi.py", program);
  const std::clock_t begin = std::clock();
  EXPECT_EQ(Tokenizer::Open(dir.path()).error().code(), ErrorCode::kUnsupported);
  EXPECT_LT(std::clock() - begin, CLOCKS_PER_SEC / 2);
}

// Of which the converter looks at templates only.
TEST(TokenizerMetadata, AListOfProcessorsMayHoldAnything) {
  for (const char* processor :
       {R"({"type": "Sequence", "processors": [null]})",
        R"({"type": "ByteLevel", "processors": 5})",
        R"({"type": "ByteLevel", "processors": [{"type": 3}, {"type": "TemplateProcessing"}]})"}) {
    Json tokenizer = V3();
    tokenizer["post_processor"] = ParseJson(processor).value();
    const TempDir dir;
    dir.Write("tokenizer.json", tokenizer.dump());
    EXPECT_TRUE(TokenizerMetadata(dir.path(), {{"vocab_size", 648}})) << processor;
  }
}

}  // namespace
}  // namespace tessera
