// What a requantized checkpoint says of itself: quantization_config, and the files beside it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/config_edit.h"
#include "convert/decision.h"
#include "convert/engines/engine.h"
#include "convert/plan.h"
#include "convert/request.h"
#include "formats/result.h"
#include "quant/source.h"

namespace tessera {

// The scheme by the name that engines know, with its geometry.
struct SchemeInUse {
  std::string_view name;
  uint64_t group = 0;  // columns a scale; 0: a whole row
};

// Of what was decided: of a repacked checkpoint it depends on the source. kUnsupported if weights
// of several formats would need several configs.
Result<SchemeInUse> SchemeOf(const SchemeRow& row, std::span<const Decision> decisions);

// What --ignore makes of the decisions: kUsage where parts of one weight would be stored
// differently, which no engine loads, or nothing is left.
Result<void> CheckIgnored(const ModelSpec& spec, std::span<const Decision> decisions);

// The choice as engines judge it.
SchemeChoice ChoiceOf(const SchemeInUse& scheme, const Source& source,
                      std::span<const Decision> decisions, const Request& request);

// Adds to `edits` what config.json must say.
Result<void> DescribeQuantized(const SchemeInUse& scheme, const Source& source,
                               std::span<const Decision> decisions, const EngineProfile* engine,
                               ConfigEdits& edits);

// Files that the scheme's loaders read beside config.json; `tensors` are the output's.
std::vector<PlanText> QuantizedTexts(const SchemeInUse& scheme, const Source& source,
                                     std::span<const Decision> decisions,
                                     std::span<const PlanTensor> tensors);

// The stem of the output's shards and index: "model", or what the scheme's loaders look for.
inline constexpr std::string_view kModelStem = "model";
std::string_view ShardStem(std::string_view scheme);

}  // namespace tessera
