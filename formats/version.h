// The release, and the one number that says whether two releases write the same bytes.
#pragma once

#include <string_view>

namespace tessera {

inline constexpr std::string_view kVersion = "0.1.0";  // CMakeLists.txt reads it from this line

// Goes up whenever the same request on the same source gives other bytes than before.
inline constexpr int kNumericsVersion = 1;

}  // namespace tessera
