// What to say of a weight whose constant parts are not what they must be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/result.h"
#include "quant/scheme.h"

namespace tessera {

// For stats.wrong_constants: names the part that contradicts the weight and both values, where
// `parts`, which the rows were decoded from, hold one that speaks for itself (weight_shape).
Error Contradiction(const Scheme& scheme, std::span<const std::span<const std::byte>> parts,
                    uint64_t rows, uint64_t cols);

}  // namespace tessera
