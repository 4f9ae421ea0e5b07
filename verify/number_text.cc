#include "verify/number_text.h"

#include <cmath>
#include <cstdio>

namespace tessera {

std::string NumberText(double value, const char* format) {
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace tessera
