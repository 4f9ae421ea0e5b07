#include "convert/reblock.h"

#include <string>

#include "formats/rank_cut.h"

namespace tessera {
namespace {

bool CutsBlocks(uint64_t size, uint64_t block, uint32_t ranks) {
  const uint64_t slice = size / ranks;
  return slice % block != 0 && block % slice != 0;
}

}  // namespace

RowRange BlocksOfSlice(uint64_t size, uint64_t block, uint32_t rank, uint32_t ranks) {
  const uint64_t slice = size / ranks;
  return {rank * slice / block, ((rank + 1) * slice + block - 1) / block};
}

Result<std::vector<std::shared_ptr<const Scheme>>> Reblock(std::span<Decision> decisions,
                                                           const QuantArgs& quant, uint32_t ranks) {
  Fp8BlockArgs args;
  args.block_rows = quant.block_rows;
  args.block_cols = quant.block_cols;
  if (quant.ue8m0) args.scale_format = ScaleFormat::kUe8m0;
  const std::shared_ptr<const Scheme> by_rows =
      MakeSlicedFp8Scheme({.block = args, .slices = ranks, .by_rows = true});
  const std::shared_ptr<const Scheme> by_columns =
      MakeSlicedFp8Scheme({.block = args, .slices = ranks, .by_rows = false});
  for (Decision& decision : decisions) {
    const StoredWeight& weight = *decision.weight;
    if (decision.by != Action::kCopied || weight.parts.size() != 2) continue;
    const Cut cut = CutOf(decision.role);
    if (cut != Cut::kRows && cut != Cut::kColumns) continue;
    const bool rows = cut == Cut::kRows;
    const uint64_t size = rows ? weight.rows : weight.cols;
    // Degrees that do not even divide are refused with all others.
    if (size % ranks != 0 || !CutsBlocks(size, rows ? args.block_rows : args.block_cols, ranks)) {
      continue;
    }
    if (weight.parts[0]->info.dtype() != Dtype::kF8E4M3 ||
        weight.parts[1]->info.dtype() != Dtype::kF32) {
      return Fail(Error(ErrorCode::kUnsupported, "--reblock writes F8_E4M3 with F32 scales only")
                      .Of(weight.parts[0]->info.name())
                      .Found(weight.parts[0]->info.Describe() + " with " +
                             weight.parts[1]->info.Describe()));
    }
    decision.by = Action::kQuantized;
    decision.to = (rows ? by_rows : by_columns).get();
  }
  return std::vector{by_rows, by_columns};
}

}  // namespace tessera
