// --dedup-mtp: the MTP module's own embedding and head are as a rule copies of the main model's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "convert/decision.h"
#include "convert/plan.h"
#include "formats/checkpoint.h"
#include "formats/file.h"
#include "formats/result.h"

namespace tessera {

// Compares those that are not dropped already with the main model's, byte by byte in bounded
// memory, and drops the equal ones by rule "mtp-duplicate". Returns what was compared; a copy whose
// original is not among the decisions is not equal. `check` is asked throughout.
Result<std::vector<MtpCopy>> DropMtpDuplicates(
    std::span<const std::shared_ptr<const Checkpoint>> inputs, std::span<Decision> decisions,
    const StopCheck& check);

}  // namespace tessera
