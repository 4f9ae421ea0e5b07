// How byte-level BPE writes bytes in its vocabulary: as printable characters, GPT-2's way.
// Printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tessera {

std::string SpellBytes(std::string_view bytes);

// nullopt if `spelled`, which is UTF-8, holds a character that stands for no byte.
std::optional<std::string> UnspellBytes(std::string_view spelled);

}  // namespace tessera
