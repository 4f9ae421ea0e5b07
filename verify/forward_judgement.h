// From a forward comparison's measurements to its gates and one sentence.
#pragma once

#include "verify/forward_compare.h"

namespace tessera {

void JudgeForward(const QualityGates& gates, ForwardComparison& comparison);

}  // namespace tessera
