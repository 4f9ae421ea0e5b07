// Numbers as reports and verdicts show them.
#pragma once

#include <string>

namespace tessera {

// As printf's `format` has it, infinities as "inf" and "-inf".
std::string NumberText(double value, const char* format);

}  // namespace tessera
