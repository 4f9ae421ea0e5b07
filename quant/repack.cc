#include "quant/repack.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "quant/part_spans.h"
#include "quant/reference.h"

namespace tessera {
namespace {

// Enough rows for a transposed target's words to fill cache lines.
constexpr uint64_t kRows = 128;

std::string Describe(const IntFormat& format, uint64_t cols) {
  std::string text = std::to_string(format.bits) + " bits, ";
  text.append(format.symmetric ? "symmetric" : "asymmetric").append(", ");
  if (format.group_rows > 1) text.append(std::to_string(format.group_rows) + " x ");
  return text.append(std::to_string(format.GroupCols(cols))).append(" weights a scale");
}

bool Holds(Dtype dtype, float scale) {
  if (!std::isfinite(scale)) return false;
  if (dtype == Dtype::kBF16) {
    return reference::DecodeBf16(reference::RoundToBf16(scale)) == scale;
  }
  if (dtype == Dtype::kF16) return reference::DecodeF16(reference::RoundToF16(scale)) == scale;
  return true;
}

}  // namespace

Result<void> CanRepack(const IntScheme& from, const IntScheme& to, uint64_t rows, uint64_t cols) {
  const IntFormat &a = from.format(), &b = to.format();
  if (a.bits == b.bits && a.GroupCols(cols) == b.GroupCols(cols) && a.group_rows == b.group_rows &&
      (a.symmetric || !b.symmetric)) {
    return to.Accepts(rows, cols);
  }
  return Fail(Error(ErrorCode::kUnsupported, std::string(from.name()) +
                                                 " does not mean the same as " +
                                                 std::string(to.name()) + " here")
                  .Expected(Describe(b, cols))
                  .Found(Describe(a, cols))
                  .Next("Quantize it anew, which rounds."));
}

void Repack(const IntScheme& from, std::span<const std::span<const std::byte>> source,
            const IntScheme& to, std::span<const std::span<std::byte>> target, uint64_t rows,
            uint64_t cols, RowRange range, ValueStats& stats) {
  const uint64_t quantum = std::lcm(from.row_quantum(), to.row_quantum());
  const uint64_t step = (kRows + quantum - 1) / quantum * quantum;
  for (uint64_t begin = range.begin; begin < range.end; begin += step) {
    const RowRange now{begin, std::min(begin + step, range.end)};
    const IntBuffer buffer(from.format(), now.size(), cols);
    from.ReadCodes(PartSpansWithin(from, source, rows, cols, range, now), rows, cols, now,
                   buffer.rows(), stats);
    const Dtype scale = to.format().scale;
    const auto lossy =
        std::ranges::count_if(buffer.rows().scales, [&](float x) { return !Holds(scale, x); });
    stats.lossy_scales += static_cast<uint64_t>(lossy);
    to.WriteCodes(buffer.rows(), rows, cols, now,
                  PartSpansWithin(to, target, rows, cols, range, now));
  }
}

}  // namespace tessera
