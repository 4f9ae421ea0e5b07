// join-mtp: an MTP module goes back to the model that it was split from.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/result.h"
#include "quant/source.h"

namespace tessera {

// Opens the module. kUnsupported where `main` has one already or `path` is none, or not in a form
// that can be joined; kBadConfig, with both values, where the two are not of one model.
Result<Source> OpenModule(const std::filesystem::path& path, const Source& main,
                          const CheckpointOptions& options);

// The shards of both, one series of names, the main model's first.
std::vector<Shard> JoinShards(std::span<const Shard> main, std::span<const Shard> module);

}  // namespace tessera
