// Importance matrices in both forms: what is accepted is sorted, and every value of it is a number
// that an encoder can weigh errors by.
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "quant/imatrix.h"
#include "tests/fuzz/require.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace tessera;

void CheckValues(const ImportanceMatrix& matrix, const Importance& entry) {
  const uint64_t matrices = entry.counts.size();
  std::vector<float> values(entry.values / matrices);
  for (uint64_t i = 0; i < matrices; ++i) {
    Require(matrix.Read(entry, i, matrices, values).has_value());
    Require(std::ranges::all_of(values, [](float v) { return std::isfinite(v) && v >= 0; }));
  }
  Require(!matrix.Read(entry, 0, matrices + 1, values));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  dir.Write("imatrix", AsText(data, size));
  const auto matrix = ImportanceMatrix::Open(dir / "imatrix");
  if (!matrix) return 0;
  const auto& entries = matrix->entries();
  Require(std::ranges::adjacent_find(entries, std::greater_equal<>(), &Importance::name) ==
          entries.end());
  for (const Importance& entry : entries) {
    Require(matrix->Find(entry.name) == &entry);
    CheckValues(*matrix, entry);
  }
  return 0;
}
