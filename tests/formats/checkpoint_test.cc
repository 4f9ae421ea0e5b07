#include "formats/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "formats/json.h"
#include "formats/safetensors.h"
#include "tests/support/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

std::string IndexText(const std::map<std::string, std::string>& weight_map,
                      std::string_view total_size) {
  std::string text =
      "{\"metadata\":{\"total_size\":" + std::string(total_size) + "},\"weight_map\":{";
  for (const auto& [tensor, file] : weight_map) {
    if (text.back() != '{') text += ',';
    text += QuoteJson(tensor) + ":" + QuoteJson(file);
  }
  return text + "}}";
}

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kOne = "model-00001-of-00002.safetensors";
constexpr const char* kTwo = "model-00002-of-00002.safetensors";

using Rules = std::vector<std::string>;

// A sound checkpoint of two shards; every test spoils it in one way.
class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    dir_.Write(kOne, ShardBytes({{"b", "bbbb"}, {"d", "dd"}}));
    dir_.Write(kTwo, ShardBytes({{"a", "a"}, {"c", "ccc"}}));
    dir_.Write("config.json", "{\"model_type\": \"x\"}\n");
    WriteIndex({{"a", kTwo}, {"b", kOne}, {"c", kTwo}, {"d", kOne}});
  }

  void WriteIndex(const std::map<std::string, std::string>& map, std::string_view total = "10") {
    dir_.Write(kIndex, IndexText(map, total));
  }
  void Remove(const char* name) { ASSERT_TRUE(fs::remove(dir_ / name)); }

  // The rules broken, in order; and Open must agree on the first.
  Rules RulesOf(const fs::path& path, const CheckpointOptions& options = {}, size_t limit = 1000) {
    Rules rules;
    const auto faults = Checkpoint::FindFaults(path, options, limit);
    for (const Error& fault : faults) rules.emplace_back(Name(fault.code()));
    const auto opened = Checkpoint::Open(path, options);
    EXPECT_EQ(opened.has_value(), faults.empty());
    if (!opened && !faults.empty()) {
      EXPECT_EQ(opened.error().Text(), faults[0].Text());
    }
    return rules;
  }
  Checkpoint Open(const CheckpointOptions& options = {}) { return OpenPath(dir_.path(), options); }
  static Checkpoint OpenPath(const fs::path& path, const CheckpointOptions& options = {}) {
    auto checkpoint = Checkpoint::Open(path, options);
    if (!checkpoint) throw std::runtime_error(checkpoint.error().Text());
    return *std::move(checkpoint);
  }
  static std::string Read(const Checkpoint& checkpoint, std::string_view name) {
    const TensorExtent* tensor = checkpoint.Find(name);
    std::string bytes(tensor->info.bytes(), '\0');
    const auto read = checkpoint.ReadBytes(*tensor, 0, std::as_writable_bytes(std::span(bytes)));
    return read ? bytes : std::string(Name(read.error().code()));
  }

  TempDir dir_;
};

TEST_F(CheckpointTest, IsADirectoryOfTensorsByName) {
  const Checkpoint checkpoint = Open();
  ASSERT_EQ(checkpoint.tensors().size(), 4u);
  std::string names;
  for (const TensorExtent& tensor : checkpoint.tensors()) {
    EXPECT_EQ(checkpoint.Find(tensor.info.name()), &tensor);
    EXPECT_EQ(&checkpoint.tensors()[checkpoint.IndexOf(tensor)], &tensor);
    names += tensor.info.name();
  }
  EXPECT_EQ(names, "abcd");
  EXPECT_EQ(checkpoint.Find("aa"), nullptr);
  EXPECT_EQ(checkpoint.Find("zz"), nullptr);
  EXPECT_EQ(checkpoint.payload_bytes(), 10u);
  ASSERT_EQ(checkpoint.shards().size(), 2u);
  EXPECT_EQ(checkpoint.shards()[0].name, kOne);
  EXPECT_EQ(checkpoint.shards()[0].tensors, 2u);
  EXPECT_EQ(checkpoint.shards()[0].identity.size, fs::file_size(dir_ / kOne));
  EXPECT_EQ(checkpoint.config_text(), "{\"model_type\": \"x\"}\n");
  EXPECT_TRUE(checkpoint.findings().empty());
  EXPECT_EQ(Read(checkpoint, "c"), "ccc");
}

TEST_F(CheckpointTest, ReadsEveryRangeOfATensor) {
  dir_.Write(kOne, ShardBytes({{"b", "0123"}, {"d", "dd"}}));
  const Checkpoint checkpoint = Open();
  const TensorExtent& b = *checkpoint.Find("b");
  for (size_t begin = 0; begin <= 4; ++begin) {
    for (size_t end = begin; end <= 4; ++end) {
      std::string bytes(end - begin, '\0');
      ASSERT_TRUE(checkpoint.ReadBytes(b, begin, std::as_writable_bytes(std::span(bytes))));
      EXPECT_EQ(bytes, std::string("0123").substr(begin, end - begin));
    }
  }
}

TEST_F(CheckpointTest, OpensByFolderIndexOrFile) {
  EXPECT_EQ(OpenPath(dir_ / kIndex).fingerprint(), Open().fingerprint());
  EXPECT_EQ(OpenPath(dir_.path() / "").fingerprint(), Open().fingerprint());
  const Checkpoint one = OpenPath(dir_ / kOne);
  EXPECT_EQ(one.tensors().size(), 2u);
  EXPECT_TRUE(one.config_text());
  EXPECT_EQ(RulesOf(dir_ / "absent"), Rules{"not-found"});
  EXPECT_EQ(RulesOf(dir_ / "config.json"), Rules{"unsupported"});
}

TEST_F(CheckpointTest, OneFileNeedsNeitherConfigNorIndexNorTidySurroundings) {
  TempDir home;
  home.Write("x.safetensors", ShardBytes({{"t", "123"}}));
  home.Write("other.safetensors", "junk");
  home.Write("notes.txt", "n");
  fs::create_directory_symlink("/", home / "root");
  const Checkpoint checkpoint = OpenPath(home / "x.safetensors");
  EXPECT_EQ(Read(checkpoint, "t"), "123");
  EXPECT_FALSE(checkpoint.config_text());
  EXPECT_TRUE(checkpoint.side_files().empty());
}

TEST_F(CheckpointTest, OneShardInAFolderNeedsNoIndex) {
  TempDir dir;
  dir.Write("model.safetensors", ShardBytes({{"t", "123"}}));
  EXPECT_EQ(OpenPath(dir.path()).tensors().size(), 1u);
}

TEST_F(CheckpointTest, FollowsLinksToFilesAsHubCachesHaveThem) {
  TempDir cache;
  const fs::path snapshot = cache / "snapshots/0a1b";
  fs::create_directories(snapshot);
  int blob = 0;
  for (const char* name : {kOne, kTwo, kIndex, "config.json"}) {
    const std::string target = "blobs/" + std::to_string(blob++);
    cache.Write(target, "");
    fs::copy_file(dir_ / name, cache / target, fs::copy_options::overwrite_existing);
    fs::create_symlink("../../" + target, snapshot / name);
  }
  const Checkpoint linked = OpenPath(snapshot);
  EXPECT_EQ(linked.fingerprint(), Open().fingerprint());
  EXPECT_EQ(Read(linked, "b"), "bbbb");
  fs::remove(cache / "blobs/1");
  EXPECT_EQ(RulesOf(snapshot), Rules{"missing-shard"});
}

TEST_F(CheckpointTest, RefusesAnIndexThatIsNone) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "index-syntax"},
      {"{", "index-syntax"},
      {"[]", "index-syntax"},
      {"null", "index-syntax"},
      {"{}", "index-syntax"},
      {R"({"weight_map":{}})", "index-syntax"},
      {R"({"weight_map":[]})", "index-syntax"},
      {R"({"weight_map":"a"})", "index-syntax"},
      {R"({"weight_map":null})", "index-syntax"},
      {R"({"weight_map":{"a":1}})", "index-syntax"},
      {R"({"weight_map":{"a":["x.safetensors"]}})", "index-syntax"},
      {R"({"weight_map":{"a":{}}})", "index-syntax"},
      {R"({"weight_map":{"a":"x.safetensors","a":"x.safetensors"}})", "duplicate-tensor"},
      {R"({"weight_map":{"a":"x.safetensors","\u0061":"x.safetensors"}})", "duplicate-tensor"},
      {R"({"weight_map":{},"weight_map":{}})", "json-duplicate-key"},
      {R"({"metadata":{},"metadata":{},"weight_map":{"a":"x.safetensors"}})", "json-duplicate-key"},
      {"version https://git-lfs.github.com/spec/v1\n", "lfs-pointer"},
  };
  for (const auto& [text, rule] : cases) {
    dir_.Write(kIndex, text);
    EXPECT_EQ(RulesOf(dir_.path()), Rules{rule}) << text;
  }
}

TEST_F(CheckpointTest, ToleratesWhatAnIndexMayHoldBesides) {
  const std::string map = R"("weight_map":{"a":")" + std::string(kTwo) + R"(","b":")" + kOne +
                          R"(","c":")" + kTwo + R"(","d":")" + kOne + R"("})";
  for (const char* before :
       {"", "\"metadata\":null,", "\"metadata\":{},", "\"metadata\":[{\"total_size\":1}],",
        "\"version\":1.5,", "\"x\":{\"weight_map\":{\"a\":1},\"total_size\":3},",
        "\"metadata\":{\"y\":{\"total_size\":1},\"total_size\":10,\"z\":[1,{\"q\":null}]},",
        "\"metadata\":{\"total_parameters\":4,\"total_size\":10},"}) {
    dir_.Write(kIndex, "{" + std::string(before) + map + ",\"after\":[[]]}");
    EXPECT_EQ(RulesOf(dir_.path()), Rules{}) << before;
    EXPECT_TRUE(Open().findings().empty()) << before;
  }
}

TEST_F(CheckpointTest, FileNamesThatLeadElsewhereAreRefused) {
  for (const char* name :
       {"", ".safetensors", "../x.safetensors", "/x.safetensors", "sub/x.safetensors",
        "..\\x.safetensors", "a..b.safetensors", "-x.safetensors", ".x.safetensors", "x.bin",
        "x.safetensors.bin", "x.SAFETENSORS", "x\n.safetensors", "x.safetensors/"}) {
    WriteIndex({{"a", kTwo}, {"b", kOne}, {"c", kTwo}, {"d", kOne}, {"e", name}});
    EXPECT_EQ(RulesOf(dir_.path()), Rules{"bad-file-name"}) << QuoteJson(name);
  }
  dir_.Write(kIndex, "{\"weight_map\":{\"a\":\"x\\u0000.safetensors\"}}");
  EXPECT_EQ(RulesOf(dir_.path())[0], "bad-file-name");
}

TEST_F(CheckpointTest, EveryMissingShardIsNamed) {
  Remove(kTwo);
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"missing-shard"});
  Remove(kOne);
  EXPECT_EQ(RulesOf(dir_.path()), (Rules{"missing-shard", "missing-shard"}));
  const auto faults = Checkpoint::FindFaults(dir_.path());
  EXPECT_EQ(faults[0].file(), (dir_ / kOne).string());
  EXPECT_EQ(faults[1].file(), (dir_ / kTwo).string());
}

TEST_F(CheckpointTest, AShardMustBeARegularFile) {
  Remove(kTwo);
  ASSERT_EQ(::mkfifo((dir_ / kTwo).c_str(), 0600), 0);
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"not-a-regular-file"});
  Remove(kTwo);
  fs::create_directory(dir_ / kTwo);
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"not-a-regular-file"});
}

TEST_F(CheckpointTest, AFileTheIndexDoesNotNameIsExtra) {
  dir_.Write("model.safetensors", ShardBytes({{"a", "old"}}));
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"extra-shard"});
}

TEST_F(CheckpointTest, NumberingMustBeCompleteAndOfOneN) {
  const std::pair<std::vector<const char*>, bool> cases[] = {
      {{"model-00001-of-000002.safetensors", "model-00002-of-000002.safetensors"}, true},
      {{"model-1-of-3.safetensors", "model-2-of-3.safetensors", "model-3-of-3.safetensors"}, true},
      {{"model-1-of-1.safetensors", "mtp.safetensors"}, true},
      {{"a-1-of-1.safetensors", "b-1-of-2.safetensors", "b-2-of-2.safetensors"}, true},
      {{"model-of-x.safetensors", "-of-.x.safetensors"}, false},  // the second name begins with -
      {{"model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"}, false},
      {{"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"}, false},
      {{"model-00001-of-00002.safetensors", "model-00002-of-00003.safetensors"}, false},
      {{"model-1-of-2.safetensors", "model-00001-of-00002.safetensors"}, false},
      {{"model-0-of-2.safetensors", "model-1-of-2.safetensors"}, false},
      {{"model-2-of-1.safetensors"}, false},
      {{"model-1-of-18446744073709551615.safetensors"}, false},
      {{"model-1-of-0.safetensors"}, false},
  };
  for (const auto& [names, good] : cases) {
    TempDir dir;
    std::map<std::string, std::string> map;
    for (const char* name : names) {
      dir.Write(name, ShardBytes({{name, "x"}}));
      map[name] = name;
    }
    dir.Write(kIndex, IndexText(map, std::to_string(names.size())));
    const Rules rules = RulesOf(dir.path());
    EXPECT_EQ(rules.empty(), good) << names[0];
    if (!good && names[0] != std::string("model-of-x.safetensors")) {
      EXPECT_EQ(rules, Rules{"shard-numbering"}) << names[0];
    }
  }
}

TEST_F(CheckpointTest, IndexAndHeadersMustAgreeOnEveryTensor) {
  const std::map<std::string, std::string> sound = {
      {"a", kTwo}, {"b", kOne}, {"c", kTwo}, {"d", kOne}};
  auto map = sound;
  map["e"] = kOne;
  map["0"] = kTwo;
  WriteIndex(map);
  EXPECT_EQ(RulesOf(dir_.path()), (Rules{"tensor-not-in-shard", "tensor-not-in-shard"}));
  map = sound;
  map.erase("a");
  map.erase("d");
  WriteIndex(map);
  EXPECT_EQ(RulesOf(dir_.path()), (Rules{"tensor-not-in-index", "tensor-not-in-index"}));
  map = sound;
  map["b"] = kTwo;
  WriteIndex(map);
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"tensor-not-in-shard"});
  EXPECT_EQ(Checkpoint::FindFaults(dir_.path())[0].tensor(), "b");
}

TEST_F(CheckpointTest, ATensorInTwoShardsIsRefusedWithOrWithoutIndex) {
  dir_.Write(kTwo, ShardBytes({{"a", "a"}, {"b", "bbbb"}, {"c", "ccc"}}));
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"tensor-in-two-shards"});
  Remove(kIndex);
  EXPECT_EQ(RulesOf(dir_.path(), {.allow_no_index = true}), Rules{"tensor-in-two-shards"});
}

TEST_F(CheckpointTest, SeveralShardsWithoutIndexNeedTheOption) {
  const Digest with_index = Open().fingerprint();
  Remove(kIndex);
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"no-index"});
  EXPECT_NE(Checkpoint::Open(dir_.path()).error().Text().find("--no-index"), std::string::npos);
  EXPECT_EQ(Open({.allow_no_index = true}).fingerprint(), with_index);
  Remove(kOne);
  EXPECT_EQ(RulesOf(dir_.path(), {.allow_no_index = true}), Rules{"shard-numbering"});
}

TEST_F(CheckpointTest, TwoIndexesAreRefusedUnlessOneIsNamed) {
  dir_.Write("model.fp16.safetensors.index.json", "{}");
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"unsupported"});
  EXPECT_EQ(RulesOf(dir_ / kIndex), Rules{});
}

TEST_F(CheckpointTest, EmptyFolderIsRefused) {
  TempDir dir;
  EXPECT_EQ(RulesOf(dir.path()), Rules{"not-found"});
}

TEST_F(CheckpointTest, WeightsInOtherFormatsAreRefused) {
  for (const char* name :
       {"pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json",
        "consolidated.00.pth", "model-Q4_K.gguf", "epoch.ckpt"}) {
    dir_.Write(name, "x");
    EXPECT_EQ(RulesOf(dir_.path()), Rules{"foreign-weights"}) << name;
    Remove(name);
  }
}

TEST_F(CheckpointTest, BadHeadersOfSeveralShardsAreAllReportedWithoutEchoes) {
  dir_.Write(kOne, "version https://git-lfs.github.com/spec/v1\n");
  dir_.Write(kTwo, "1234567");
  dir_.Write("extra.safetensors", "");
  EXPECT_EQ(RulesOf(dir_.path()), (Rules{"extra-shard", "lfs-pointer", "header-too-small"}));
  EXPECT_EQ(RulesOf(dir_.path(), {}, 2), (Rules{"extra-shard", "lfs-pointer"}));
  EXPECT_EQ(RulesOf(dir_.path(), {}, 0), Rules{"extra-shard"});
}

TEST_F(CheckpointTest, EveryTruncationOfAShardIsAFault) {
  const auto size = fs::file_size(dir_ / kOne);
  for (uintmax_t cut = 0; cut < size; ++cut) {
    dir_.Write(kOne, ShardBytes({{"b", "bbbb"}, {"d", "dd"}}));
    fs::resize_file(dir_ / kOne, cut);
    EXPECT_EQ(RulesOf(dir_.path()).size(), 1u) << cut;
  }
}

std::vector<std::string> FindingRules(const Checkpoint& checkpoint) {
  std::vector<std::string> rules;
  for (const Finding& finding : checkpoint.findings()) rules.push_back(finding.rule);
  return rules;
}

TEST_F(CheckpointTest, WrongTotalSizeIsAFindingWithBothNumbers) {
  for (const char* total : {"1369062772000", "0", "10.5", "\"10\"", "null", "-1", "{\"a\":1}"}) {
    WriteIndex({{"a", kTwo}, {"b", kOne}, {"c", kTwo}, {"d", kOne}}, total);
    const Checkpoint checkpoint = Open();
    ASSERT_EQ(FindingRules(checkpoint), Rules{"total-size"}) << total;
    EXPECT_EQ(checkpoint.findings()[0].severity, Severity::kWarning);
  }
  WriteIndex({{"a", kTwo}, {"b", kOne}, {"c", kTwo}, {"d", kOne}}, "1369062772000");
  EXPECT_NE(Open().findings()[0].what.find("1369062772000, the tensors add up to 10 bytes"),
            std::string::npos);
}

TEST_F(CheckpointTest, OdditiesOfHeadersAreOneFindingEach) {
  TempDir dir;
  std::string json = R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"new":[1]}})";
  while (json.size() % 4 != 1) json += ' ';
  std::string length(8, '\0');
  length[0] = static_cast<char>(json.size());
  dir.Write("model.safetensors", length + json + "1234");
  const Checkpoint checkpoint = OpenPath(dir.path());
  EXPECT_EQ(FindingRules(checkpoint), (Rules{"unknown-field", "unaligned", "no-format"}));
  for (const Finding& finding : checkpoint.findings()) EXPECT_EQ(finding.what[0], '1');
}

TEST_F(CheckpointTest, SideFilesAreAllButWeightsConfigIndexManifestAndHiddenOnes) {
  for (const char* name :
       {"tokenizer.json", "LICENSE", "modeling.py", "inference/kernel.py", "inference/a/b.txt",
        "inference/config.json", "inference/extra.safetensors", "z", "tessera.manifest.json",
        ".gitattributes", ".cache/x", "inference/.hidden"}) {
    dir_.Write(name, "1");
  }
  fs::create_symlink("LICENSE", dir_ / "LICENSE-MODEL");
  fs::create_directory(dir_ / "empty");
  const Checkpoint checkpoint = Open();
  EXPECT_EQ(
      std::vector<std::string>(checkpoint.side_files().begin(), checkpoint.side_files().end()),
      (Rules{"LICENSE", "LICENSE-MODEL", "inference/a/b.txt", "inference/config.json",
             "inference/extra.safetensors", "inference/kernel.py", "modeling.py", "tokenizer.json",
             "z"}));
}

TEST_F(CheckpointTest, SideFilesThatCannotBeCopiedAreRefused) {
  fs::create_directory_symlink(".", dir_ / "loop");
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"unsupported"});
  Remove("loop");
  fs::create_symlink("nowhere", dir_ / "broken");
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"unsupported"});
  Remove("broken");
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"unsupported"});
  Remove("pipe");
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "d/";
  dir_.Write(deep + "f", "");
  EXPECT_EQ(RulesOf(dir_.path()), Rules{"unsupported"});
}

TEST_F(CheckpointTest, FingerprintFollowsEverythingAPlanDependsOnAndNothingElse) {
  const Digest original = Open().fingerprint();
  TempDir copy;
  fs::copy(dir_.path(), copy.path(), fs::copy_options::recursive);
  EXPECT_EQ(OpenPath(copy.path()).fingerprint(), original);  // no path, inode or time
  WriteIndex({{"a", kTwo}, {"b", kOne}, {"c", kTwo}, {"d", kOne}}, "11");
  EXPECT_EQ(Open().fingerprint(), original);
  std::set<Digest> seen = {original};
  const auto expect_new = [&](const char* what) {
    EXPECT_TRUE(seen.insert(Open().fingerprint()).second) << what;
  };
  dir_.Write("config.json", "{}");
  expect_new("config");
  Remove("config.json");
  expect_new("no config");
  dir_.Write("LICENSE", "1");
  expect_new("side file");
  dir_.Write("LICENSE", "12");
  expect_new("side file size");
  dir_.Write(kOne, ShardBytes({{"b", "bbbb"}, {"d", "dd"}}, {{"format", "np"}}));
  expect_new("header");
}

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST_F(CheckpointTest, KeepsNoMoreThanTheLimitOpen) {
  TempDir dir;
  for (int i = 1; i <= 40; ++i) {
    const std::string number = std::to_string(i);
    dir.Write("model-" + number + "-of-40.safetensors", ShardBytes({{"t" + number, number}}));
  }
  const size_t before = OpenDescriptors();
  const Checkpoint checkpoint = OpenPath(dir.path(), {.allow_no_index = true, .open_limit = 3});
  EXPECT_EQ(OpenDescriptors(), before);
  for (int round = 0; round < 2; ++round) {
    for (int i = 1; i <= 40; ++i) {
      EXPECT_EQ(Read(checkpoint, "t" + std::to_string(i)), std::to_string(i));
      EXPECT_LE(OpenDescriptors(), before + 3);
    }
  }
}

TEST_F(CheckpointTest, AFileReplacedSinceOpenIsNotRead) {
  const Checkpoint checkpoint = Open();
  dir_.Write("new", ShardBytes({{"b", "BBBB"}, {"d", "DD"}}));
  fs::rename(dir_ / "new", dir_ / kOne);
  EXPECT_EQ(Read(checkpoint, "b"), "input-changed");
  EXPECT_EQ(Read(checkpoint, "c"), "ccc");
  EXPECT_EQ(checkpoint.CheckUnchanged().error().code(), ErrorCode::kInputChanged);
}

TEST_F(CheckpointTest, ReopeningAfterEvictionChecksAgain) {
  const Checkpoint checkpoint = Open({.open_limit = 1});
  EXPECT_EQ(Read(checkpoint, "b"), "bbbb");
  EXPECT_EQ(Read(checkpoint, "c"), "ccc");
  fs::last_write_time(dir_ / kOne, fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(Read(checkpoint, "b"), "input-changed");
}

TEST_F(CheckpointTest, AFileTruncatedOrDeletedWhileOpenIsNoticed) {
  const Checkpoint checkpoint = Open();
  EXPECT_TRUE(checkpoint.CheckUnchanged());
  EXPECT_EQ(Read(checkpoint, "d"), "dd");
  fs::resize_file(dir_ / kOne, fs::file_size(dir_ / kOne) - 1);
  EXPECT_EQ(Read(checkpoint, "d"), "truncated");
  EXPECT_EQ(checkpoint.CheckUnchanged().error().code(), ErrorCode::kInputChanged);
  Remove(kOne);
  EXPECT_EQ(checkpoint.CheckUnchanged().error().code(), ErrorCode::kInputChanged);
}

}  // namespace
}  // namespace tessera
