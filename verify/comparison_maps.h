// A comparison as heat maps: by layer and class, and by layer and expert.
#pragma once

#include "verify/heat_map.h"
#include "verify/tensor_compare.h"

namespace tessera {

// Of several tensors in one cell, experts mostly, the worst one gives the colour.
HeatMap ClassMap(const ComparisonReport& report);

// Of the routed experts' down_proj; without rows if there are none.
HeatMap ExpertMap(const ComparisonReport& report);

}  // namespace tessera
