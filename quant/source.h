// A checkpoint with everything that can be known about it before a weight is read.
#pragma once

#include <filesystem>
#include <memory>

#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/model_spec.h"
#include "formats/result.h"
#include "quant/quant_args.h"
#include "quant/storage.h"

namespace tessera {

struct Source {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<const StorageMap> storage;
  Json config;
  QuantArgs quant;
  std::shared_ptr<const ModelSpec> spec;
  Coverage coverage{};
};

// Fails on the first thing that is missing, unknown, or not as config.json says.
Result<Source> OpenSource(const std::filesystem::path& path, const CheckpointOptions& options);

}  // namespace tessera
