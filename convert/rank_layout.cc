#include "convert/rank_layout.h"

#include <numeric>

namespace tessera {

RankDegrees::RankDegrees(const ModelSpec& spec) {
  Demands("n_routed_experts", spec.n_routed_experts);
  Demands("num_attention_heads", spec.num_attention_heads);
}

void RankDegrees::Add(const std::string& name, const TensorRole& role, uint64_t rows, uint64_t cols,
                      std::optional<Blocks> blocks) {
  const Cut cut = CutOf(role);
  if (cut != Cut::kRows && cut != Cut::kColumns) return;
  const bool by_rows = cut == Cut::kRows;
  const uint64_t size = by_rows ? rows : cols;
  const std::string side = by_rows ? "rows" : "columns";
  if (!blocks) {
    Demands(std::to_string(size) + " " + side + " of " + name, size);
    return;
  }
  const uint64_t block = by_rows ? blocks->rows : blocks->cols;
  // A ragged last block puts the borders of equal slices off the grid, whatever their number.
  const uint64_t whole_blocks = size % block == 0 ? size / block : 1;
  Demands(
      std::to_string(size) + " " + side + " of " + name + " in blocks of " + std::to_string(block),
      whole_blocks);
}

Result<void> RankDegrees::Check(uint32_t ranks) const {
  uint64_t common = 0;
  const Demand* missed = nullptr;
  for (const Demand& demand : demands_) {
    common = std::gcd(common, demand.number);
    if (missed == nullptr && demand.number % ranks != 0) missed = &demand;
  }
  if (missed == nullptr) return {};
  std::string degrees;
  for (uint64_t degree = 1; degree <= common; ++degree) {
    if (common % degree != 0) continue;
    degrees += (degrees.empty() ? "" : ", ") + std::to_string(degree);
  }
  return Fail(Error(ErrorCode::kUnsupported,
                    "the model cannot be cut for " + std::to_string(ranks) + " ranks")
                  .Found(missed->what + ", which " + std::to_string(ranks) + " does not divide")
                  .Expected("--mp " + degrees)
                  .Next("nothing was written"));
}

}  // namespace tessera
