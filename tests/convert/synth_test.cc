#include "convert/synth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "convert/synth_config.h"
#include "convert/synth_values.h"
#include "formats/checkpoint.h"
#include "formats/hash.h"
#include "formats/json.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr Family kFamilies[] = {Family::kV2,  Family::kV2Lite, Family::kV3,        Family::kV31,
                                Family::kV32, Family::kK2,     Family::kMoonlight, Family::kGlm5};

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::map<std::string, std::string> Digests(const fs::path& dir) {
  std::map<std::string, std::string> digests;
  for (const auto& entry : fs::directory_iterator(dir)) {
    digests[entry.path().filename().string()] = ToHex(Xxh3(ReadFile(entry.path())));
  }
  return digests;
}

SynthSummary MustSynthesize(const SynthRequest& request, const fs::path& out) {
  Result<SynthSummary> summary = Synthesize(request, out);
  if (!summary) ADD_FAILURE() << summary.error().Text();
  return summary.value();
}

Checkpoint MustOpen(const fs::path& dir) {
  Result<Checkpoint> checkpoint = Checkpoint::Open(dir);
  if (!checkpoint) ADD_FAILURE() << checkpoint.error().Text();
  return *std::move(checkpoint);
}

std::vector<std::byte> BytesOf(const Checkpoint& checkpoint, std::string_view name) {
  const TensorExtent* tensor = checkpoint.Find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << "no tensor " << name;
    return {};
  }
  std::vector<std::byte> bytes(tensor->info.bytes());
  EXPECT_TRUE(checkpoint.ReadBytes(*tensor, 0, bytes).has_value());
  return bytes;
}

bool ArePowersOfTwo(std::span<const std::byte> f32) {
  for (size_t i = 0; i < f32.size(); i += 4) {
    uint32_t bits = 0;
    std::memcpy(&bits, f32.data() + i, 4);
    if ((bits & 0x7FFFFF) != 0 || bits == 0) return false;
  }
  return true;
}

fs::path Shared() { return fs::path(TESSERA_TEST_DIR) / "../../shared/data"; }

TEST(Synth, SparseDeepSeekV3HasTheReleasesTotals) {
  const TempDir dir;
  const SynthSummary summary =
      MustSynthesize({.preset = SynthPreset::kDeepSeekV3, .sparse = true}, dir / "v3");
  EXPECT_EQ(summary.files, 163u);
  EXPECT_EQ(summary.tensors, 91'991u);
  EXPECT_EQ(summary.payload_bytes, 688'574'839'360u);
  EXPECT_EQ(summary.file_bytes, 688'586'727'753u);
  EXPECT_EQ(summary.total_size, 1'369'062'772'000u);
  EXPECT_EQ(summary.split_pairs, 155u);
  EXPECT_EQ(fs::file_size(dir / "v3/model-00001-of-000163.safetensors"), 5'234'139'343u);
  EXPECT_EQ(fs::file_size(dir / "v3/model.safetensors.index.json"), 8'898'324u);
}

TEST(Synth, SparseDeepSeekV3HasTheReleasesFileSizes) {
  std::ifstream table(Shared() / "DeepSeek-V3.shards.tsv");
  if (!table) GTEST_SKIP() << "the release's table is not here";
  const TempDir dir;
  MustSynthesize({.preset = SynthPreset::kDeepSeekV3, .sparse = true}, dir / "v3");
  std::string line;
  std::getline(table, line);
  int shards = 0;
  while (std::getline(table, line)) {
    std::istringstream fields(line);
    int number = 0;
    uint64_t bytes = 0;
    fields >> number >> bytes;
    char name[64];
    std::snprintf(name, sizeof name, "v3/model-%05d-of-000163.safetensors", number);
    EXPECT_EQ(fs::file_size(dir / name), bytes) << name;
    ++shards;
  }
  EXPECT_EQ(shards, 163);
}

TEST(Synth, SparseDeepSeekV3EqualsTheLayoutScriptToTheByte) {
  const fs::path script = Shared() / "v3_layout.py";
  if (!fs::exists(script)) GTEST_SKIP() << script << " is not here";
  const TempDir dir;
  MustSynthesize({.preset = SynthPreset::kDeepSeekV3, .sparse = true}, dir / "ours");
  const std::string command = "python3 " + script.string() + " sparse " + (dir / "theirs").string();
  ASSERT_EQ(std::system(command.c_str()), 0);
  for (const auto& entry : fs::directory_iterator(dir / "theirs")) {
    const std::string name = entry.path().filename().string();
    ASSERT_EQ(fs::file_size(dir / "ours" / name), entry.file_size()) << name;
    // Headers end well before this; behind them everything is a hole.
    const auto beginning = [&](const fs::path& path) {
      std::string text(std::min<uint64_t>(entry.file_size(), 16 << 20), '\0');
      if (path.extension() == ".safetensors") text.resize(200'000);
      std::ifstream(path, std::ios::binary)
          .read(text.data(), static_cast<std::streamsize>(text.size()));
      return text;
    };
    EXPECT_TRUE(beginning(dir / "ours" / name) == beginning(entry.path())) << name;
  }
}

TEST(Synth, SameBytesForAnyNumberOfThreadsAndOtherBytesForAnotherSeed) {
  const TempDir dir;
  for (const unsigned threads : {1u, 2u, 7u}) {
    MustSynthesize({.quirks = true, .seed = 5, .threads = threads}, dir / std::to_string(threads));
  }
  MustSynthesize({.quirks = true, .seed = 6}, dir / "other");
  const auto one = Digests(dir / "1"), other = Digests(dir / "other");
  EXPECT_EQ(one, Digests(dir / "2"));
  EXPECT_EQ(one, Digests(dir / "7"));
  for (const auto& [name, digest] : one) {
    const bool weights = name.ends_with(".safetensors");
    EXPECT_EQ(other.at(name) == digest, !weights) << name;
  }
}

// Every machine and compiler must make the same weights.
TEST(Synth, WeightsOfTheDefaultTinyAreKnown) {
  const TempDir dir;
  MustSynthesize({}, dir / "tiny");
  Xxh3Stream all;
  for (const auto& [name, digest] : Digests(dir / "tiny")) {
    if (name.ends_with(".safetensors")) all.Update(name + digest);
  }
  EXPECT_EQ(ToHex(all.Finish()), "b6bc342500bbebd07459ef14d205c1d3");
}

TEST(Synth, EveryFamilyAndFormatIsACompleteCheckpoint) {
  for (const Family family : kFamilies) {
    for (const SynthFormat format : {SynthFormat::kFp8, SynthFormat::kBf16}) {
      for (const bool quirks : {false, true}) {
        SCOPED_TRACE(std::string(Name(family)) + " " + std::string(Name(format)) +
                     (quirks ? " quirks" : ""));
        const TempDir dir;
        const SynthSummary summary = MustSynthesize(
            {.family = family, .format = format, .quirks = quirks, .sparse = true}, dir / "out");
        EXPECT_GT(summary.files, 2u);
        EXPECT_LT(summary.payload_bytes, 40u << 20);
        EXPECT_EQ(summary.split_pairs > 0, quirks && format == SynthFormat::kFp8);
        const Checkpoint checkpoint = MustOpen(dir / "out");
        EXPECT_EQ(checkpoint.tensors().size(), summary.tensors);
        EXPECT_EQ(checkpoint.payload_bytes(), summary.payload_bytes);
        if (!quirks) {
          EXPECT_EQ(summary.total_size, summary.payload_bytes);
        }
        const Result<ModelSpec> spec = ModelSpec::Of(checkpoint);
        ASSERT_TRUE(spec.has_value()) << spec.error().Text();
        EXPECT_EQ(Name(spec->family()), Name(family == Family::kV31 && format == SynthFormat::kBf16
                                                 ? Family::kV3  // told apart by its scales only
                                                 : family));
        for (const Error& fault : CheckCompleteness(*spec, checkpoint).faults) {
          ADD_FAILURE() << fault.Text();
        }
      }
    }
  }
}

TEST(Synth, EveryPresetIsACompleteCheckpointOfItsSize) {
  struct Case {
    SynthPreset preset;
    uint64_t low, high;
  };
  for (const Case& c : {Case{SynthPreset::kSmall, 900'000'000, 1'200'000'000},
                        Case{SynthPreset::kV3Slice, 2'500'000'000, 3'500'000'000}}) {
    for (const bool quirks : {false, true}) {
      const TempDir dir;
      const SynthSummary summary =
          MustSynthesize({.preset = c.preset, .quirks = quirks, .sparse = true}, dir / "out");
      EXPECT_GT(summary.payload_bytes, c.low) << Name(c.preset);
      EXPECT_LT(summary.payload_bytes, c.high) << Name(c.preset);
      const Checkpoint checkpoint = MustOpen(dir / "out");
      EXPECT_TRUE(CheckCompleteness(*ModelSpec::Of(checkpoint), checkpoint).faults.empty());
    }
  }
}

TEST(Synth, PlainOutputKeepsPairsTogetherAndHeadersPadded) {
  const TempDir dir;
  MustSynthesize({}, dir / "out");
  const Checkpoint checkpoint = MustOpen(dir / "out");
  for (const Shard& shard : checkpoint.shards()) EXPECT_EQ(shard.data_begin % 8, 0u) << shard.name;
  size_t pairs = 0;
  for (const TensorExtent& weight : checkpoint.tensors()) {
    if (weight.info.dtype() != Dtype::kF8E4M3) continue;
    const TensorExtent* scale = checkpoint.Find(weight.info.name() + "_scale_inv");
    ASSERT_NE(scale, nullptr) << weight.info.name();
    EXPECT_EQ(scale->shard, weight.shard) << weight.info.name();
    EXPECT_EQ(scale->offset, weight.offset + weight.info.bytes()) << weight.info.name();
    ++pairs;
  }
  EXPECT_GT(pairs, 100u);
  EXPECT_EQ(checkpoint.Find("model.layers.3.embed_tokens.weight"), nullptr);
}

TEST(Synth, QuirksAreThoseOfTheReleases) {
  const TempDir dir;
  MustSynthesize({.family = Family::kV31, .quirks = true}, dir / "v31");
  const Checkpoint v31 = MustOpen(dir / "v31");
  size_t split = 0, odd = 0, ragged_rows = 0, ragged_columns = 0;
  for (const Shard& shard : v31.shards()) odd += shard.data_begin % 2;
  for (const TensorExtent& scale : v31.tensors()) {
    const std::string& name = scale.info.name();
    if (!name.ends_with("_scale_inv")) continue;
    const TensorExtent* weight = v31.Find(name.substr(0, name.size() - 10));
    split += weight->shard != scale.shard;
    ragged_rows += weight->info.shape()[0] % 128 != 0;
    ragged_columns += weight->info.shape()[1] % 128 != 0;
    EXPECT_EQ(ArePowersOfTwo(BytesOf(v31, name)), !name.contains("o_proj")) << name;
  }
  EXPECT_GT(split, 0u);
  EXPECT_GT(odd, 0u);
  EXPECT_GT(ragged_rows, 0u);
  EXPECT_GT(ragged_columns, 0u);
  EXPECT_EQ(BytesOf(v31, "model.layers.3.embed_tokens.weight"),
            BytesOf(v31, "model.embed_tokens.weight"));
  EXPECT_EQ(BytesOf(v31, "model.layers.3.shared_head.head.weight"), BytesOf(v31, "lm_head.weight"));

  MustSynthesize({.family = Family::kV32}, dir / "v32");
  const Checkpoint v32 = MustOpen(dir / "v32");
  EXPECT_EQ(v32.Find("model.layers.0.input_layernorm.weight")->info.dtype(), Dtype::kF32);
  EXPECT_EQ(v32.Find("model.layers.0.self_attn.indexer.k_norm.bias")->info.dtype(), Dtype::kF32);

  MustSynthesize({.family = Family::kK2, .quirks = true}, dir / "k2");
  const Checkpoint k2 = MustOpen(dir / "k2");
  EXPECT_TRUE(
      fs::exists(dir / ("k2/model-1-of-" + std::to_string(k2.shards().size()) + ".safetensors")));
  EXPECT_EQ(k2.Find("model.layers.2.self_attn.rotary_emb.inv_freq")->info.Describe(), "BF16 [56]");
}

TEST(Synth, RefusesAFolderWithContentsAndA689GigabyteWrite) {
  const TempDir dir;
  dir.Write("out/mine.txt", "precious");
  const auto full = Synthesize({}, dir / "out");
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code(), ErrorCode::kForeignFile);
  EXPECT_EQ(ReadFile(dir / "out/mine.txt"), "precious");
  for (const SynthRequest& request :
       {SynthRequest{.preset = SynthPreset::kDeepSeekV3},
        SynthRequest{.preset = SynthPreset::kDeepSeekV3, .family = Family::kK2, .sparse = true},
        SynthRequest{
            .preset = SynthPreset::kDeepSeekV3, .format = SynthFormat::kBf16, .sparse = true}}) {
    const auto refused = Synthesize(request, dir / "new");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kUsage);
    EXPECT_FALSE(fs::exists(dir / "new"));
  }
}

TEST(Synth, NamesParseBackAndUnknownOnesListTheKnown) {
  for (const Family family : kFamilies) EXPECT_EQ(ParseFamily(Name(family)).value(), family);
  EXPECT_EQ(ParseSynthPreset("v3-slice").value(), SynthPreset::kV3Slice);
  EXPECT_EQ(ParseSynthFormat("bf16").value(), SynthFormat::kBf16);
  const auto unknown = ParseFamily("v4");
  EXPECT_EQ(unknown.error().code(), ErrorCode::kUsage);
  EXPECT_NE(unknown.error().Text().find("v2-lite"), std::string::npos);
}

TEST(Synth, TokensAreDenseAndFitTheVocabulary) {
  const TempDir dir;
  MustSynthesize({}, dir / "out");
  const Json tokenizer = ReadJsonFile((dir / "out/tokenizer.json").string()).value();
  const Json config = ReadJsonFile((dir / "out/config.json").string()).value();
  std::map<int, std::string> by_id;
  for (const auto& [token, id] : tokenizer["model"]["vocab"].items()) by_id[id] = token;
  EXPECT_EQ(by_id.size(), tokenizer["model"]["vocab"].size());
  EXPECT_EQ(by_id.rbegin()->first + 1, static_cast<int>(by_id.size()));
  EXPECT_LE(by_id.size(), config["vocab_size"].get<size_t>());
  for (const Json& merge : tokenizer["model"]["merges"]) {
    const std::string text = merge;
    const size_t space = text.find(' ');
    for (const std::string& token : {text.substr(0, space), text.substr(space + 1),
                                     text.substr(0, space) + text.substr(space + 1)}) {
      EXPECT_TRUE(tokenizer["model"]["vocab"].contains(token)) << text;
    }
  }
}

class SynthValuesTest : public testing::Test {
 protected:
  static std::vector<float> All(std::string_view name) {
    const ModelSpec spec =
        ModelSpec::FromConfig(
            ParseJson(SynthConfigText({.preset = SynthPreset::kSmall}, SynthFormat::kFp8)).value())
            .value();
    const TensorRole role = *spec.Parse(name);
    const Shape shape = *spec.ShapeOf(role);
    const SynthValues values(spec, role, shape, 0);
    std::vector<float> all(shape[0] * (shape.size() == 2 ? shape[1] : 1));
    values.FillRows(0, all);
    return all;
  }
};

TEST_F(SynthValuesTest, LinearsAreHeavyTailedAndKeepTheSizeOfActivations) {
  const std::vector<float> all = All("model.layers.3.mlp.experts.7.up_proj.weight");
  constexpr size_t kColumns = 1024;
  double second = 0, fourth = 0;
  for (const float x : all) {
    second += double{x} * x;
    fourth += std::pow(x, 4);
  }
  const auto n = static_cast<double>(all.size());
  EXPECT_NEAR(second / n * kColumns, 1.0, 0.15);
  EXPECT_GT(fourth / n / std::pow(second / n, 2), 20.0);  // 3 for a normal distribution
  std::vector<double> norms;
  for (size_t row = 0; row < all.size() / kColumns; ++row) {
    double norm = 0;
    for (size_t c = 0; c < kColumns; ++c) norm += std::pow(all[row * kColumns + c], 2);
    norms.push_back(std::sqrt(norm));
  }
  std::ranges::sort(norms);
  EXPECT_GT(norms[norms.size() * 9 / 10] / norms[norms.size() / 10], 2.0);  // spread by channel
}

TEST_F(SynthValuesTest, RouterRowsAreAlikeAndNormsAreNearOne) {
  const std::vector<float> router = All("model.layers.3.mlp.gate.weight");
  for (size_t row = 0; row < 32; ++row) {
    double norm = 0;
    for (size_t c = 0; c < 1024; ++c) norm += std::pow(router[row * 1024 + c], 2);
    EXPECT_NEAR(std::sqrt(norm), 1.0, 0.1) << row;
  }
  for (const float x : All("model.norm.weight")) EXPECT_NEAR(x, 1.0f, 0.126f);
  for (const float x : All("model.layers.3.mlp.gate.e_score_correction_bias")) {
    EXPECT_NEAR(x, 2.0f, 0.04f);
  }
}

TEST_F(SynthValuesTest, RowsDoNotDependOnTheCut) {
  const ModelSpec spec =
      ModelSpec::FromConfig(ParseJson(SynthConfigText({}, SynthFormat::kFp8)).value()).value();
  const TensorRole role = *spec.Parse("model.layers.1.self_attn.kv_a_proj_with_mqa.weight");
  const SynthValues values(spec, role, *spec.ShapeOf(role), 9);
  std::vector<float> whole(192 * 256), piece(64 * 256);
  values.FillRows(0, whole);
  values.FillRows(128, piece);
  EXPECT_TRUE(std::equal(piece.begin(), piece.end(), whole.begin() + 128 * 256));
}

}  // namespace
}  // namespace tessera
