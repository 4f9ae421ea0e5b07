// Whether an output can be written at all, judged before anything is.
#pragma once

#include <filesystem>

#include "convert/plan.h"
#include "formats/result.h"

namespace tessera {

// kOutputConflict if `out` lies in an input's folder, holds it, or holds a file that an input's
// links lead to: replacing the output would destroy the source.
Result<void> CheckApart(const std::filesystem::path& out, const Plan& plan);

// kNoSpace or kOutputNotWritable, with numbers. What an unfinished run already holds there counts.
Result<void> CheckSpace(const std::filesystem::path& out, const Plan& plan);

}  // namespace tessera
