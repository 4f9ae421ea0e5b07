#include "verify/compared_checkpoint.h"

#include <algorithm>
#include <utility>

#include "formats/json.h"
#include "quant/quant_args.h"

namespace tessera {

Result<ComparedCheckpoint> ComparedCheckpoint::Open(const std::filesystem::path& path) {
  TESSERA_ASSIGN(Checkpoint checkpoint, Checkpoint::Open(path));
  TESSERA_ASSIGN(ModelSpec spec, ModelSpec::Of(checkpoint));
  const std::string file = checkpoint.config_path().string();
  Result<Json> config = ParseJson(*checkpoint.config_text());
  if (!config) return Fail(std::move(config).error().Within(file));
  Result<QuantArgs> args = QuantArgs::Of(checkpoint, *config);
  if (!args) return Fail(std::move(args).error().Within(file));
  TESSERA_ASSIGN(StorageMap storage, StorageMap::Of(checkpoint, *args, &spec));
  std::vector<LogicalTensor> tensors;
  for (const StoredWeight& weight : storage.weights()) {
    tensors.push_back({weight.name, &weight});
  }
  return ComparedCheckpoint{.path = path,
                            .checkpoint = std::move(checkpoint),
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
