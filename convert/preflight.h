// Whether an output can be written at all, judged before anything is.
#pragma once

#include <filesystem>
#include <span>

#include "convert/plan.h"
#include "formats/result.h"

namespace tessera {

// `outs` are the plan's folders. kOutputConflict if one of them lies in an input's folder or in
// another of them, holds it, or holds a file that an input's links lead to: replacing the output
// would destroy the source.
Result<void> CheckApart(std::span<const std::filesystem::path> outs, const Plan& plan);

// kNoSpace or kOutputNotWritable, with numbers, for each file system. What an unfinished run
// already holds there counts.
Result<void> CheckSpace(std::span<const std::filesystem::path> outs, const Plan& plan);

}  // namespace tessera
