#include "formats/shard_name.h"

#include <algorithm>
#include <charconv>

namespace tessera {
namespace {

constexpr std::string_view kEnding = ".safetensors";
constexpr std::string_view kOf = "-of-";
constexpr std::string_view kModel = "model", kMp = "-mp";

std::optional<uint64_t> ParseNumber(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

// "007" says three digits; "7" says nothing, so it counts as unpadded.
uint8_t Width(std::string_view digits) {
  return digits.size() > 1 && digits.front() == '0' ? static_cast<uint8_t>(digits.size()) : 1;
}

std::string Padded(uint64_t value, uint8_t width) {
  const std::string digits = std::to_string(value);
  return std::string(width - std::min<size_t>(width, digits.size()), '0') + digits;
}

}  // namespace

bool IsShardName(std::string_view file_name) { return Uncompressed(file_name).ends_with(kEnding); }

bool IsCompressed(std::string_view file_name) {
  return file_name.ends_with(kZstdEnding) && IsShardName(file_name);
}

std::string_view Uncompressed(std::string_view file_name) {
  if (file_name.ends_with(kZstdEnding)) file_name.remove_suffix(kZstdEnding.size());
  return file_name;
}

bool IsOneOfSeveral(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!IsShardName(path.filename().string()) || std::filesystem::is_directory(path, ignored)) {
    return false;
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::filesystem::path name = entry.path().filename();
    if (IsShardName(name.string()) && name != path.filename()) return true;
  }
  return false;
}

std::optional<ShardName> ParseShardName(std::string_view file_name, std::string_view ending) {
  if (ending == kEnding) file_name = Uncompressed(file_name);
  if (!file_name.ends_with(ending)) return std::nullopt;
  file_name.remove_suffix(ending.size());
  const size_t of = file_name.rfind(kOf);
  if (of == std::string_view::npos) return std::nullopt;
  const size_t dash = file_name.rfind('-', of == 0 ? 0 : of - 1);
  if (dash == std::string_view::npos || dash >= of) return std::nullopt;
  const std::string_view number = file_name.substr(dash + 1, of - dash - 1);
  const std::string_view count = file_name.substr(of + kOf.size());
  const auto n = ParseNumber(number), m = ParseNumber(count);
  if (!n || !m) return std::nullopt;
  // Where the number fills its width without a leading zero, the count's padding is the hint.
  const uint8_t number_width =
      Width(number) > 1 || Width(count) == 1 ? Width(number) : static_cast<uint8_t>(number.size());
  return ShardName{.prefix = std::string(file_name.substr(0, dash)),
                   .number = *n,
                   .count = *m,
                   .number_width = number_width,
                   .count_width = Width(count)};
}

std::string ToString(const ShardName& name, std::string_view ending) {
  return name.prefix + "-" + Padded(name.number, name.number_width) + std::string(kOf) +
         Padded(name.count, name.count_width) + std::string(ending);
}

std::optional<RankShardName> ParseRankShardName(std::string_view file_name) {
  file_name = Uncompressed(file_name);
  if (!file_name.starts_with(kModel) || !file_name.ends_with(kEnding)) return std::nullopt;
  file_name.remove_prefix(kModel.size());
  file_name.remove_suffix(kEnding.size());
  const size_t mp = file_name.find(kMp);
  if (mp == std::string_view::npos) return std::nullopt;
  const auto rank = ParseNumber(file_name.substr(0, mp));
  const auto count = ParseNumber(file_name.substr(mp + kMp.size()));
  if (!rank || !count) return std::nullopt;
  return RankShardName{*rank, *count};
}

std::string ToString(const RankShardName& name) {
  return std::string(kModel) + std::to_string(name.rank) + std::string(kMp) +
         std::to_string(name.count) + std::string(kEnding);
}

}  // namespace tessera
