// From measurements to a verdict: each tensor, the gates, one sentence.
#pragma once

#include <span>

#include "verify/tensor_compare.h"
#include "verify/tensor_tile.h"

namespace tessera {

// Whether the tiles, checked one by one, leave the tensor to be measured whole.
bool NeedsMeasuring(const TilePair& pair, std::span<const TileResult> tiles);

// Tiles that need no measuring, as one: the records of a million tiles would be hundreds of
// megabytes. In order, so that it does not matter which tile was ready first.
TileResult FoldTiles(std::span<const TileResult> tiles);

// Fills in kind, agreement, rule, stats and missed gates.
void JudgeTensor(const TilePair& pair, const TileResult& whole, const QualityGates& gates,
                 TensorComparison& tensor);

// Counts, gates and verdict, once all tensors are judged.
void ConcludeReport(const QualityGates& gates, ComparisonReport& report);

}  // namespace tessera
