#include "convert/output_layout.h"

#include <gtest/gtest.h>

namespace tessera {
namespace {

Shard ShardNamed(std::string name) {
  return {.name = std::move(name),
          .identity = {},
          .data_begin = 0,
          .header = {},
          .samples = {},
          .tensors = 0};
}

UnplacedTensor Tensor(std::string name, uint64_t bytes, uint32_t home, uint64_t offset,
                      uint64_t unit) {
  return {.info = *TensorInfo::Make(std::move(name), Dtype::kU8, {bytes}),
          .by = Action::kCopied,
          .home = home,
          .home_offset = offset,
          .unit = unit};
}

std::vector<std::string> FileNames(const OutputLayout& layout) {
  std::vector<std::string> names;
  for (const PlanFile& file : layout.files) names.push_back(file.name);
  return names;
}

TEST(OutputLayout, KeepsFilesAndOrderOfTheSource) {
  const std::vector<Shard> shards = {ShardNamed("model-00001-of-000002.safetensors"),
                                     ShardNamed("model-00002-of-000002.safetensors")};
  // Given in another order than they lie in.
  const std::vector<UnplacedTensor> tensors = {Tensor("c", 5, 1, 0, 0), Tensor("b", 3, 0, 100, 1),
                                               Tensor("a", 7, 0, 50, 2)};
  const Result<OutputLayout> layout = LayOut(tensors, shards, 0, SafetensorsContainer());
  ASSERT_TRUE(layout.has_value());
  EXPECT_EQ(FileNames(*layout), (std::vector<std::string>{"model-00001-of-000002.safetensors",
                                                          "model-00002-of-000002.safetensors"}));
  ASSERT_EQ(layout->tensors.size(), 3u);
  EXPECT_EQ(layout->tensors[0].info.name(), "a");
  EXPECT_EQ(layout->tensors[0].offset, layout->files[0].header.size());
  EXPECT_EQ(layout->tensors[1].info.name(), "b");
  EXPECT_EQ(layout->tensors[1].offset, layout->tensors[0].offset + 7);
  EXPECT_EQ(layout->files[0].bytes, layout->tensors[1].offset + 3);
  EXPECT_EQ(layout->tensors[2].info.name(), "c");
  EXPECT_EQ(layout->placed, (std::vector<uint32_t>{2, 1, 0}));
}

TEST(OutputLayout, LeavesEmptyFilesOutAndRenumbersTheRest) {
  const std::vector<Shard> shards = {ShardNamed("model-00001-of-000003.safetensors"),
                                     ShardNamed("model-00002-of-000003.safetensors"),
                                     ShardNamed("model-00003-of-000003.safetensors")};
  const std::vector<UnplacedTensor> tensors = {Tensor("a", 1, 0, 0, 0), Tensor("b", 1, 2, 0, 1)};
  const Result<OutputLayout> layout = LayOut(tensors, shards, 0, SafetensorsContainer());
  ASSERT_TRUE(layout.has_value());
  EXPECT_EQ(FileNames(*layout), (std::vector<std::string>{"model-00001-of-000002.safetensors",
                                                          "model-00002-of-000002.safetensors"}));
}

TEST(OutputLayout, RenumbersUnpaddedNamesByNumberNotByText) {
  std::vector<Shard> shards;
  for (const int n : {1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9}) {  // as text sorts them
    shards.push_back(ShardNamed("model-" + std::to_string(n) + "-of-11.safetensors"));
  }
  // Number 1 goes, so that 2 becomes 1 and 11 becomes 10.
  std::vector<UnplacedTensor> tensors;
  for (uint32_t home = 1; home < shards.size(); ++home) {
    tensors.push_back(Tensor("from " + shards[home].name, 1, home, 0, home));
  }
  const Result<OutputLayout> layout = LayOut(tensors, shards, 0, SafetensorsContainer());
  ASSERT_TRUE(layout.has_value());
  for (const PlanTensor& tensor : layout->tensors) {
    const std::string& file = layout->files[tensor.file].name;
    const int from = std::stoi(tensor.info.name().substr(sizeof "from model-" - 1));
    EXPECT_EQ(file, "model-" + std::to_string(from - 1) + "-of-10.safetensors");
  }
}

TEST(OutputLayout, CutsBySizeButNeverAUnit) {
  const std::vector<Shard> shards = {ShardNamed("model.safetensors")};
  const std::vector<UnplacedTensor> tensors = {
      Tensor("w1", 60, 0, 0, 1), Tensor("s1", 10, 0, 1, 1),    Tensor("w2", 20, 0, 2, 2),
      Tensor("s2", 20, 0, 3, 2), Tensor("huge", 500, 0, 4, 3), Tensor("last", 1, 0, 5, 4)};
  const Result<OutputLayout> layout = LayOut(tensors, shards, 100, SafetensorsContainer());
  ASSERT_TRUE(layout.has_value());
  ASSERT_EQ(layout->files.size(), 4u);
  EXPECT_EQ(layout->files[0].name, "model-00001-of-00004.safetensors");
  std::vector<uint32_t> file_of;
  for (const uint32_t placed : layout->placed) file_of.push_back(layout->tensors[placed].file);
  EXPECT_EQ(file_of, (std::vector<uint32_t>{0, 0, 1, 1, 2, 3}));
}

}  // namespace
}  // namespace tessera
