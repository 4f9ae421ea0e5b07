// Which releases of the architecture engines have classes for.
#pragma once

#include "formats/model_spec.h"

namespace tessera {

inline constexpr Family kAllFamilies[] = {Family::kV2,        Family::kV2Lite, Family::kV3,
                                          Family::kV31,       Family::kV32,    Family::kK2,
                                          Family::kMoonlight, Family::kGlm5};
inline constexpr Family kV3Families[] = {Family::kV3, Family::kV31};

}  // namespace tessera
