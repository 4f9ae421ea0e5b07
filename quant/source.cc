#include "quant/source.h"

namespace tessera {

Result<Source> OpenSource(const std::filesystem::path& path, const CheckpointOptions& options) {
  Source source;
  TESSERA_ASSIGN(Checkpoint checkpoint, Checkpoint::Open(path, options));
  if (!checkpoint.config_text()) return Fail(checkpoint.NoConfig());
  const auto within = [&](Error error) {
    return Fail(std::move(error).Within(checkpoint.config_path().string()));
  };
  Result<Json> config = ParseJson(*checkpoint.config_text());
  if (!config) return within(std::move(config).error());
  Result<QuantArgs> quant = QuantArgs::Of(checkpoint, *config);
  if (!quant) return within(std::move(quant).error());
  Result<ModelSpec> spec = ModelSpec::FromConfig(*config);
  if (!spec) return within(std::move(spec).error());
  TESSERA_ASSIGN(StorageMap storage, StorageMap::Of(checkpoint, *quant, &*spec));
  CompletenessReport report = CheckCompleteness(*spec, checkpoint, 1);
  if (!report.faults.empty()) return Fail(std::move(report.faults.front()));
  source.checkpoint = std::make_shared<Checkpoint>(std::move(checkpoint));
  source.storage = std::make_shared<StorageMap>(std::move(storage));
  source.config = *std::move(config);
  source.quant = *std::move(quant);
  source.spec = std::make_shared<ModelSpec>(*std::move(spec));
  source.coverage = report.coverage;
  return source;
}

}  // namespace tessera
