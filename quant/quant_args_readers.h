// The parts of reading QuantArgs that have files of their own.
#pragma once

#include "quant/config_fields.h"
#include "quant/quant_args.h"

namespace tessera {

// quantization_config of compressed-tensors. As strict as its own reader within a group; beyond it,
// what changes the meaning of weights is refused.
Result<void> ReadCompressedTensors(const ConfigFields& config, QuantArgs& args);

// Two positive integers.
Result<void> ReadBlockSize(const ConfigFields& config, std::string_view key, QuantArgs& args);
// A positive integer, or -1 for a whole row, which is 0 here.
Result<uint32_t> ReadGroupSize(const ConfigFields& config, std::string_view key);

}  // namespace tessera
