#include "convert/output_layout.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "formats/shard_name.h"

namespace tessera {
namespace {

// Source shards that still have tensors, in the order of their numbers: unpadded names sort
// otherwise.
std::vector<uint32_t> UsedShards(std::span<const UnplacedTensor> tensors,
                                 std::span<const Shard> shards) {
  std::vector<bool> used(shards.size(), false);
  for (const UnplacedTensor& t : tensors) used[t.home] = true;
  std::vector<uint32_t> homes;
  for (uint32_t shard = 0; shard < shards.size(); ++shard) {
    if (used[shard]) homes.push_back(shard);
  }
  std::ranges::sort(homes, {}, [&](uint32_t shard) {
    const std::optional<ShardName> name = ParseShardName(shards[shard].name);
    return std::pair(name ? name->number : 0, shard);
  });
  return homes;
}

std::vector<uint32_t> AssignBySource(std::span<const UnplacedTensor> tensors,
                                     const std::vector<uint32_t>& homes, size_t shards) {
  std::vector<uint32_t> number(shards, 0);
  for (uint32_t i = 0; i < homes.size(); ++i) number[homes[i]] = i;
  std::vector<uint32_t> file;
  file.reserve(tensors.size());
  for (const UnplacedTensor& t : tensors) file.push_back(number[t.home]);
  return file;
}

std::vector<uint32_t> AssignBySize(std::span<const UnplacedTensor> tensors, uint64_t shard_size,
                                   uint32_t& files) {
  std::vector<uint32_t> file(tensors.size());
  uint64_t used = 0;
  files = tensors.empty() ? 0 : 1;
  for (size_t begin = 0; begin < tensors.size();) {
    size_t end = begin;
    uint64_t unit_bytes = 0;
    while (end < tensors.size() && tensors[end].unit == tensors[begin].unit) {
      unit_bytes += tensors[end++].info.bytes();
    }
    if (used != 0 && used + unit_bytes > shard_size) {
      ++files;
      used = 0;
    }
    used += unit_bytes;
    std::fill(file.begin() + static_cast<ptrdiff_t>(begin),
              file.begin() + static_cast<ptrdiff_t>(end), files - 1);
    begin = end;
  }
  return file;
}

// What a GGUF file held becomes shards of the same numbers.
std::string ShardFileName(const std::string& source) {
  if (!source.ends_with(kGgufEnding)) return source;
  std::optional<ShardName> split = ParseShardName(source, kGgufEnding);
  if (!split) return "model.safetensors";
  split->prefix = "model";
  return ToString(*split);
}

std::vector<std::string> NamesFromSource(std::span<const Shard> shards,
                                         const std::vector<uint32_t>& homes) {
  // Each prefix is a series of its own, numbered 1 to N.
  std::map<std::string, uint64_t> total, next;
  std::vector<std::optional<ShardName>> parsed;
  for (const uint32_t home : homes) {
    parsed.push_back(ParseShardName(shards[home].name));
    if (parsed.back()) ++total[parsed.back()->prefix];
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < homes.size(); ++i) {
    std::optional<ShardName>& name = parsed[i];
    if (!name || name->count == total[name->prefix]) {
      names.push_back(ShardFileName(shards[homes[i]].name));
      continue;
    }
    name->number = ++next[name->prefix];
    name->count = total[name->prefix];
    names.push_back(ToString(*name));
  }
  return names;
}

std::vector<std::string> NamesByNumber(uint32_t files) {
  std::vector<std::string> names;
  for (uint32_t i = 0; i < files; ++i) {
    ShardName name{.prefix = "model", .number = i + 1, .count = files};
    names.push_back(ToString(name));
  }
  return names;
}

// `members`: by file, the tensors in it in order.
Result<OutputLayout> Place(std::span<const UnplacedTensor> tensors,
                           const std::vector<std::vector<uint32_t>>& members,
                           const std::vector<std::string>& names, const Container& container) {
  // Files by name. Unpadded numbers (model-10-of-61 before model-2-of-61) need the sort.
  std::vector<uint32_t> order(names.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, {}, [&](uint32_t i) -> const std::string& { return names[i]; });

  OutputLayout layout;
  layout.placed.resize(tensors.size());
  layout.tensors.reserve(tensors.size());
  for (const uint32_t old : order) {
    std::vector<const TensorInfo*> infos;
    for (const uint32_t t : members[old]) infos.push_back(&tensors[t].info);
    Result<FileLayout> placed = container.Layout(infos);
    if (!placed) return Fail(std::move(placed).error().Within(names[old]));
    const auto file = static_cast<uint32_t>(layout.files.size());
    layout.files.push_back(
        {.name = names[old], .header = std::move(placed->header), .bytes = placed->bytes});
    for (size_t i = 0; i < infos.size(); ++i) {
      const uint32_t t = members[old][i];
      layout.placed[t] = static_cast<uint32_t>(layout.tensors.size());
      layout.tensors.push_back({tensors[t].info, file, placed->offsets[i], tensors[t].by});
    }
  }
  return layout;
}

}  // namespace

Result<OutputLayout> LayOut(std::span<const UnplacedTensor> tensors, std::span<const Shard> shards,
                            uint64_t shard_size, const Container& container) {
  uint32_t file_count = 0;
  std::vector<uint32_t> file_of;
  std::vector<std::string> names;
  if (shard_size == 0) {
    const std::vector<uint32_t> homes = UsedShards(tensors, shards);
    file_of = AssignBySource(tensors, homes, shards.size());
    names = NamesFromSource(shards, homes);
  } else {
    file_of = AssignBySize(tensors, shard_size, file_count);
    names = NamesByNumber(file_count);
  }

  std::vector<std::vector<uint32_t>> members(names.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) members[file_of[i]].push_back(i);
  if (shard_size == 0) {
    for (std::vector<uint32_t>& m : members) {
      std::ranges::sort(m, {}, [&](uint32_t i) { return std::pair(tensors[i].home_offset, i); });
    }
  }

  return Place(tensors, members, names, container);
}

Result<OutputLayout> LayOutRanks(std::span<const UnplacedTensor> tensors,
                                 std::span<const uint32_t> ranks, uint32_t count) {
  std::vector<std::string> names;
  for (const uint32_t rank : ranks) names.push_back(ToString(RankShardName{rank, count}));
  return LayOutAsSaved(tensors, names);
}

Result<OutputLayout> LayOutAsSaved(std::span<const UnplacedTensor> tensors,
                                   const std::vector<std::string>& files) {
  std::vector<std::vector<uint32_t>> members(files.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) members[tensors[i].home].push_back(i);
  for (std::vector<uint32_t>& m : members) {
    std::ranges::sort(m, [&](uint32_t a, uint32_t b) {
      const TensorInfo &left = tensors[a].info, &right = tensors[b].info;
      if (left.dtype() != right.dtype()) return left.dtype() > right.dtype();
      return left.name() < right.name();
    });
  }
  return Place(tensors, members, files, BareSafetensorsContainer());
}

}  // namespace tessera
