// Token ids as people read them: by the text that a tokenizer has for each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

using TokenTexts = std::map<uint32_t, std::string>;  // as QuotedText shows them

// In double quotes, cut where it is long. What a terminal would not show, or would be steered by,
// is escaped; so is every byte beyond ASCII where the text is no UTF-8, as parts of characters are.
std::string QuotedText(std::string_view text);

// Of those ids that the tokenizer in `folder` has. Without a tokenizer that is understood there are
// none, since comparing takes no more than ids.
TokenTexts TextsOf(const std::filesystem::path& folder, std::span<const uint32_t> ids);

// The id, and its text if there is one.
std::string TokenLabel(const TokenTexts& texts, uint32_t id);

}  // namespace tessera
