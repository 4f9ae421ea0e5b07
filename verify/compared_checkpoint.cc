#include "verify/compared_checkpoint.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "formats/json.h"
#include "quant/quant_args.h"

namespace tessera {
namespace {

constexpr std::string_view kPlainSuffix = ".weight";

std::string LogicalName(const StoredWeight& weight) {
  const std::string& name = weight.parts[0]->info.name();
  if (weight.scheme == nullptr) return name;
  const std::string suffix = weight.scheme->Parts(weight.rows, weight.cols)[0].suffix;
  if (!name.ends_with(suffix)) return name;
  return name.substr(0, name.size() - suffix.size()) + std::string(kPlainSuffix);
}

}  // namespace

Result<ComparedCheckpoint> ComparedCheckpoint::Open(const std::filesystem::path& path) {
  TESSERA_ASSIGN(Checkpoint checkpoint, Checkpoint::Open(path));
  TESSERA_ASSIGN(ModelSpec spec, ModelSpec::Of(checkpoint));
  const std::string file = checkpoint.config_path().string();
  Result<Json> config = ParseJson(*checkpoint.config_text());
  if (!config) return Fail(std::move(config).error().Within(file));
  Result<QuantArgs> args = QuantArgs::FromConfig(*config);
  if (!args) return Fail(std::move(args).error().Within(file));
  TESSERA_ASSIGN(StorageMap storage, StorageMap::Of(checkpoint, *args));
  std::vector<LogicalTensor> tensors;
  for (const StoredWeight& weight : storage.weights()) {
    tensors.push_back({LogicalName(weight), &weight});
  }
  std::ranges::sort(tensors, {}, &LogicalTensor::name);
  return ComparedCheckpoint{.checkpoint = std::move(checkpoint),
                            .storage = std::move(storage),
                            .spec = std::move(spec),
                            .tensors = std::move(tensors)};
}

const LogicalTensor* ComparedCheckpoint::Find(std::string_view name) const {
  const auto it = std::ranges::lower_bound(
      tensors, name, {}, [](const LogicalTensor& t) -> std::string_view { return t.name; });
  return it == tensors.end() || it->name != name ? nullptr : &*it;
}

}  // namespace tessera
