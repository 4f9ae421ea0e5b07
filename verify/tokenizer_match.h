// Whether two model folders mean the same text by the same token ids.
#pragma once

#include <filesystem>

#include "formats/result.h"

namespace tessera {

// kUsage where both hold a tokenizer and the tokens of the two differ. A folder without one has
// nothing to say.
Result<void> CheckSameTokenizer(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace tessera
