// Which degrees of tensor parallelism a model's weights can be cut for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model_spec.h"

namespace tessera {

// What a cut must keep whole: `expert_columns` and `expert_rows` of experts, `rows` and `columns`
// of the other linears; 1: nothing.
struct CutUnits {
  uint64_t rows = 1, columns = 1, expert_rows = 1, expert_columns = 1;
};
// Of one of our schemes, quantizing what it covers by default.
CutUnits CutOf(std::string_view scheme, uint64_t group);

struct TpFault {
  std::string module;  // "mlp.experts" and the like
  std::string what;
};
std::vector<TpFault> FindTpFaults(const ModelSpec& spec, const CutUnits& units, int tp);

// "1, 2, 4, 8, 16", of the powers of two up to 64.
std::string WorkingDegrees(const ModelSpec& spec, const CutUnits& units);

}  // namespace tessera
