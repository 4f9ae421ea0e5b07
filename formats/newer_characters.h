// Characters that came with Unicode 15, 15.1 and 16, for pattern libraries that know only 14.
#pragma once

#include <string>
#include <string_view>

namespace tessera {

// `text`, which is UTF-8, with each of those characters replaced by an older one that is as long
// and of the same kind, so that patterns cut both texts at the same bytes. `tokenizers` 0.23 and
// tiktoken 0.14 know Unicode 16.
std::string WithOlderCharacters(std::string_view text);

}  // namespace tessera
