// config.json of a synthetic checkpoint: a release's fields in their order, dimensions scaled.
#pragma once

#include <string>

#include "convert/synth.h"
#include "formats/json.h"

namespace tessera {

// The file's text. Of kDeepSeekV3 with family kV3 it is the release's, to the byte.
std::string SynthConfigText(const SynthRequest& request, SynthFormat format);

// FP8 for the families that were released in FP8, else BF16.
SynthFormat ReleasedFormat(Family family);

}  // namespace tessera
