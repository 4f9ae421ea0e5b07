#include <algorithm>

#include "convert/engines/rules.h"
#include "formats/shard_name.h"

namespace tessera {
namespace {

struct KvBPair {
  const TensorExtent* weight;
  const TensorExtent* scale;
};

std::vector<KvBPair> ScaledKvB(const Judgement& j) {
  std::vector<KvBPair> pairs;
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* scale = module.Find("weight_scale_inv");
    if (module.name.ends_with(".kv_b_proj") && scale != nullptr) {
      pairs.push_back({&module.main(), scale});
    }
  }
  return pairs;
}

}  // namespace

void RefuseCompressed(Judgement& j) {
  const auto shards = j.checkpoint.shards();
  const auto first =
      std::ranges::find_if(shards, [](const Shard& shard) { return IsCompressed(shard.name); });
  if (first == shards.end()) return;
  j.Fatal("compressed", "", "shards are compressed, which no engine reads: " + first->name,
          "unpack them: tessera reshard IN OUT --names hf");
}

void WarnFormatMetadata(Judgement& j) {
  for (const Finding& finding : j.checkpoint.findings()) {
    if (finding.rule != "no-format") continue;
    j.Warn("format-metadata", "",
           finding.what + " (" + finding.file +
               " is the first): transformers before 5 refuses "
               "other metadata without it",
           "write the shards again: tessera reshard IN OUT --shard-size 5GB");
  }
}

void RequireKvBInOneShard(Judgement& j) {
  uint64_t split = 0;
  const TensorExtent* first = nullptr;
  for (const KvBPair& pair : ScaledKvB(j)) {
    if (pair.weight->shard == pair.scale->shard) continue;
    if (split++ == 0) first = pair.weight;
  }
  if (split == 0) return;
  j.Fatal("kv-b-split", first->info.name(),
          std::to_string(split) +
              " kv_b_proj have their scale in another shard than their weight: "
              "the loader looks in one file and fails with a KeyError",
          "write the shards again: tessera reshard IN OUT --shard-size 5GB keeps pairs together");
}

void WarnKvBOrder(Judgement& j) {
  for (const KvBPair& pair : ScaledKvB(j)) {
    if (pair.scale->shard >= pair.weight->shard) continue;
    return j.Warn("kv-b-order", pair.weight->info.name(),
                  "kv_b_proj's scale lies in an earlier shard than its weight: LMDeploy before "
                  "0.18 leaves the absorbed weights empty, without an error",
                  "use 0.18 or later, or write the shards again: tessera reshard IN OUT "
                  "--shard-size 5GB");
  }
}

void NoteShardNames(Judgement& j) {
  const auto shards = j.checkpoint.shards();
  const auto odd = std::ranges::find_if(shards, [](const Shard& shard) {
    const std::optional<ShardName> name = ParseShardName(shard.name);
    return name && name->count > 9 && name->number_width == 1;
  });
  if (odd == shards.end()) return;
  j.Note("shard-names",
         odd->name +
             " has a number without leading zeros: files sort otherwise "
             "than they count, which matters to tools that take them in order",
         "none needed for loading; tessera reshard IN OUT --shard-size 5GB writes padded names");
}

void CheckCustomCode(Judgement& j) {
  const auto map = j.config.find("auto_map");
  if (map == j.config.end() || !map->is_object()) return;
  for (const Json& value : *map) {
    if (!value.is_string()) continue;
    const std::string entry = value.get<std::string>();
    const std::string file = entry.substr(0, entry.find('.')) + ".py";
    // Of another repository: fetched from there.
    if (entry.find("--") != std::string::npos) continue;
    const auto files = j.checkpoint.side_files();
    if (std::ranges::find(files, file) != files.end()) continue;
    return j.Warn(
        "custom-code", "", "config.json's auto_map names " + file + ", which is not in the folder",
        "copy it from the original, or remove auto_map where the engine has the model built in");
  }
}

void CheckMtp(Judgement& j, bool one_only) {
  const uint32_t promised = j.spec.num_nextn_predict_layers;
  if (promised == 0) return;
  if (one_only && promised > 1) {
    j.Warn("mtp-count", "",
           "config.json has " + std::to_string(promised) +
               " MTP layers, the engine's draft model takes one",
           "serve without speculative decoding");
  }
  const std::string layer = "model.layers." + std::to_string(j.spec.num_hidden_layers);
  if (j.stored.StorageOf(layer + ".eh_proj") != Storage::kAbsent) return;
  j.Warn("mtp-missing", layer + ".eh_proj.weight",
         "config.json promises an MTP module and no tensor of " + layer +
             " is there: speculative decoding ends with an error",
         "serve without it, set num_nextn_predict_layers to 0, or take the module from the "
         "original");
}

}  // namespace tessera
