// Names such as model-00001-of-000163.safetensors: the two numbers may have different widths, or
// none at all (model-1-of-61), and an output keeps the habit of its source.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace tessera {

struct ShardName {
  std::string prefix;  // "model"
  uint64_t number = 1, count = 1;
  uint8_t number_width = 5, count_width = 5;  // digits, zero-padded; 1: unpadded
};

inline constexpr std::string_view kGgufEnding = ".gguf";
inline constexpr std::string_view kZstdEnding = ".zst";

// *.safetensors, or the same compressed: *.safetensors.zst.
bool IsShardName(std::string_view file_name);
bool IsCompressed(std::string_view file_name);
// Without the ending that says so.
std::string_view Uncompressed(std::string_view file_name);

// A shard with others beside it, which cannot be complete by itself, nor hold every scale.
bool IsOneOfSeveral(const std::filesystem::path& path);

// nullopt for a name of another form. A compressed shard counts as what it holds.
std::optional<ShardName> ParseShardName(std::string_view file_name,
                                        std::string_view ending = ".safetensors");
std::string ToString(const ShardName& name, std::string_view ending = ".safetensors");

// model3-mp8.safetensors: what one of `count` model-parallel ranks loads in DeepSeek's demo.
struct RankShardName {
  uint64_t rank = 0, count = 1;
};

std::optional<RankShardName> ParseRankShardName(std::string_view file_name);
std::string ToString(const RankShardName& name);

}  // namespace tessera
