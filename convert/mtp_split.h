// split-mtp: the MTP module as a checkpoint of its own, in the form that its loader reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "convert/output_layout.h"
#include "convert/plan.h"
#include "convert/request.h"
#include "formats/result.h"
#include "quant/source.h"

namespace tessera {

// kUnsupported where there is no module to split off, or none that the engine could load.
Result<void> CheckSplit(const Source& source, ModuleFor engine);

// The rule by which the engine's form leaves a tensor of the module out; empty: it does not.
std::string_view RuleOfModule(const TensorRole& role, ModuleFor engine);

// The name of a tensor of the module in that form.
std::string NameInModule(const ModelSpec& spec, const TensorRole& role, ModuleFor engine);

// The module's folder: config.json, index and side files. The main model's is an ordinary one.
Result<PlanFolder> ModuleFolder(const Source& source, ModuleFor engine);

// Lays both folders out, the module in folder 1.
Result<OutputLayout> LayOutSplit(std::span<const UnplacedTensor> tensors,
                                 std::span<const Shard> shards, uint64_t shard_size,
                                 ModuleFor engine);

}  // namespace tessera
