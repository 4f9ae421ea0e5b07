#include "formats/manifest.h"

#include <gtest/gtest.h>

#include "formats/json.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

Manifest Sample() {
  Manifest m;
  m.tool_version = "1.2.3";
  m.numerics = 4;
  m.source_fingerprint = Xxh3("source");
  m.source_bytes = uint64_t{1} << 60;
  m.request = {{"mtp", "keep"}, {"to", "bf16"}};
  m.plan = Xxh3("plan");
  m.tile_bytes = 8 << 20;
  for (size_t i = 0; i < kActions; ++i) m.ledger.counts[i] = 10 + i;
  m.source_tensors = m.ledger.total();
  m.rules = {{"mtp-drop", 3}, {"other", 4}};
  m.files = {{"a.safetensors", 100, Xxh3("ha"), ""}, {"b.safetensors", 200, Xxh3("hb"), "ab12"}};
  m.side_files = {{"config.json", 5, Xxh3("c")}, {"sub/\"odd\"\n.txt", 0, Xxh3("")}};
  ManifestTensor scalar{.name = "scalar",
                        .file = "a.safetensors",
                        .dtype = Dtype::kF32,
                        .shape = {},
                        .tile_bytes = 4,
                        .digest = Xxh3("s"),
                        .from = {"scalar"},
                        .by = Action::kCopied,
                        .nan_codes = 0};
  ManifestTensor weight{.name = "w",
                        .file = "b.safetensors",
                        .dtype = Dtype::kBF16,
                        .shape = {7, 0, 3},
                        .tile_bytes = 0,
                        .digest = Xxh3("w"),
                        .from = {"w", "w_scale_inv"},
                        .by = Action::kDequantized,
                        .nan_codes = 12};
  m.tensors = {scalar, weight};
  return m;
}

TEST(Manifest, ReadsBackWhatItWrites) {
  const std::string text = RenderManifest(Sample());
  const Result<Manifest> back = ParseManifest(text);
  ASSERT_TRUE(back.has_value()) << back.error().Text();
  EXPECT_EQ(RenderManifest(*back), text);
  EXPECT_EQ(back->rules.size(), 2u);
  EXPECT_EQ(back->rules[1].tensors, 4u);
  EXPECT_EQ(back->tensors[1].shape, (Shape{7, 0, 3}));
  EXPECT_EQ(back->tensors[1].from, (std::vector<std::string>{"w", "w_scale_inv"}));
  EXPECT_EQ(back->side_files[1].name, "sub/\"odd\"\n.txt");
}

TEST(Manifest, KeepsTensorsOfOneNameInSeveralFilesApart) {
  Manifest m = Sample();
  m.tensors[0].name = m.tensors[1].name = "same";
  const Result<Manifest> back = ParseManifest(RenderManifest(m));
  ASSERT_TRUE(back.has_value()) << back.error().Text();
  ASSERT_EQ(back->tensors.size(), 2u);
  EXPECT_EQ(back->tensors[0].name, "same");
  EXPECT_EQ(back->tensors[0].file, "a.safetensors");
  EXPECT_EQ(back->tensors[1].name, "same");
  EXPECT_EQ(back->tensors[1].file, "b.safetensors");
}

TEST(Manifest, HasTheKeysOfTheContract) {
  const Result<Json> json = ParseJson(RenderManifest(Sample()));
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ((*json)["schema"], 1);
  EXPECT_EQ((*json)["tool"]["name"], "tessera");
  EXPECT_EQ((*json)["source"]["tensors"], 91);
  EXPECT_EQ((*json)["ledger"]["folded"], 15);
  EXPECT_EQ((*json)["rules"][0]["rule"], "mtp-drop");
  EXPECT_EQ((*json)["files"]["b.safetensors"]["sha256"], "ab12");
  EXPECT_FALSE((*json)["files"]["a.safetensors"].contains("sha256"));
  EXPECT_EQ((*json)["tensors"]["w"]["by"], "dequantized");
  EXPECT_EQ((*json)["tensors"]["w"]["xxh3"], ToHex(Xxh3("w")));
}

TEST(Manifest, RefusesEveryTruncation) {
  const std::string text = RenderManifest(Sample());
  for (size_t size = 0; size + 1 < text.size(); ++size) {  // the last byte is a newline
    EXPECT_FALSE(ParseManifest(text.substr(0, size)).has_value()) << size;
  }
}

TEST(Manifest, RefusesWhatItDoesNotKnow) {
  const std::string text = RenderManifest(Sample());
  const auto with = [&](std::string_view old, std::string_view now) {
    std::string changed = text;
    const size_t at = changed.find(old);
    EXPECT_NE(at, std::string::npos) << old;
    return ParseManifest(changed.replace(at, old.size(), now));
  };
  EXPECT_FALSE(with("\"schema\":1", "\"schema\":2").has_value());
  EXPECT_FALSE(with("\"numerics\"", "\"numerals\"").has_value());
  EXPECT_FALSE(with("\"BF16\"", "\"BF17\"").has_value());
  EXPECT_FALSE(with("\"dequantized\",", "\"guessed\",").has_value());
  EXPECT_FALSE(with("[7,0,3]", "[7,-1,3]").has_value());
  EXPECT_FALSE(with("[7,0,3]", "7").has_value());
  EXPECT_FALSE(with("\"bytes\":100", "\"bytes\":\"100\"").has_value());
  EXPECT_FALSE(with("\"b.safetensors\":{", "\"a.safetensors\":{").has_value());  // twice
  EXPECT_FALSE(with("\"copied\":10", "\"copied\":11").has_value());  // no longer the source's count
  EXPECT_FALSE(with("\"config.json\"", "\"../config.json\"").has_value());
  EXPECT_FALSE(with("\"source\":{", "\"sauce\":{").has_value());
}

// Nobody would look for their bytes, and the output would hold without them.
TEST(Manifest, RefusesTensorsInFilesThatAreNotListed) {
  Manifest m = Sample();
  m.tensors[1].file = "c.safetensors";
  EXPECT_FALSE(ParseManifest(RenderManifest(m)).has_value());
}

TEST(Manifest, RefusesATensorTwiceInAFileUnderBothSpellings) {
  Manifest m = Sample();
  m.tensors[1].file = "a.safetensors";
  m.tensors[1].name = "scalar";
  std::string text = RenderManifest(m);  // both with the file in front
  EXPECT_FALSE(ParseManifest(text).has_value());
  const std::string prefixed = "\"a.safetensors:scalar\"";
  text.replace(text.rfind(prefixed), prefixed.size(), "\"scalar\"");
  EXPECT_FALSE(ParseManifest(text).has_value());
}

TEST(Manifest, RefusesListsWhereThingsGoByName) {
  for (const char* key : {"files", "side_files", "tensors"}) {
    for (const char* list : {R"([{"bytes":1}])", R"([{"tile_bytes":1}])", "[[1]]", R"({"a":[1]})",
                             R"([{"from":["a"]}])"}) {
      const std::string text = R"({"schema":1,")" + std::string(key) + "\":" + list + "}";
      const Result<Manifest> manifest = ParseManifest(text);
      ASSERT_FALSE(manifest.has_value()) << text;
      EXPECT_EQ(Name(manifest.error().code()), Name(ErrorCode::kBadManifest)) << text;
    }
  }
}

}  // namespace
}  // namespace tessera
