// --reblock: ranks for more parts than block FP8 has blocks to give.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "convert/decision.h"
#include "formats/result.h"
#include "quant/quant_args.h"
#include "quant/scheme.h"

namespace tessera {

// The blocks that one of `ranks` slices of `size` rows or columns lies in: whole ones of its own,
// or one that it shares with others.
RowRange BlocksOfSlice(uint64_t size, uint64_t block, uint32_t rank, uint32_t ranks);

// Has those weights quantized anew in blocks of each rank's own whose slices would cut blocks;
// where a slice lies within one block its scale goes to all who need it. Returns the schemes that
// the decisions refer to.
Result<std::vector<std::shared_ptr<const Scheme>>> Reblock(std::span<Decision> decisions,
                                                           const QuantArgs& quant, uint32_t ranks);

}  // namespace tessera
