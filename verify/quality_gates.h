// What a checkpoint must keep to for a comparison to say yes: limits by the way a weight is stored.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/result.h"
#include "quant/quality.h"
#include "quant/storage.h"

namespace tessera {

// From fine to coarse.
enum class StorageKind : uint8_t {
  kPlain,
  kFp8,
  kInt8Group,
  kInt8,
  // Those of bits are GGUF's; its Q8_0, Q4_0 and IQ4 count as integers.
  k6Bit,
  k5Bit,
  k4Bit,
  kInt4,
  kFp4,
  k3Bit,
  k2Bit,
  kOther
};
// "plain", "fp8", "int8-group", "int8", "6bit", ..., "4bit", "int4", "fp4", "3bit", "2bit", "other"
std::string_view Name(StorageKind kind);
// By element type, bits a weight, and weights a scale; a weight without a scheme is kPlain. Of
// several block types the coarsest decides.
StorageKind KindOf(const StoredWeight& weight);
// Whether equal bytes are equal values.
bool SameEncoding(const StoredWeight& a, const StoredWeight& b);
// The coarsest way in which B stores a weight that A stores otherwise; kPlain without any.
StorageKind KindOfChange(const StorageMap& a, const StorageMap& b);

enum class Gate : uint8_t {
  kUnmatched,
  kConfig,
  kForm,
  kCopied,
  kRounding,
  kNotFinite,
  kSqnrFp8,
  kSqnrInt8Group,
  kSqnrInt8,
  kSqnrInt4,
  kMeanSqnrInt4,
  kSqnrFp4,
  kSqnr6Bit,
  kSqnr5Bit,
  kSqnr4Bit,
  kSqnr3Bit,
  kSqnr2Bit,
  kPredictedGap,
  kWorstRow,
  kWorstGroup,
  kGain8Bit,
  kGain4Bit,
  // Of a forward comparison. The first two have limits by StorageKind.
  kKl,
  kTop1,
  kResidualError,
  kRoutingOverlap,
};
inline constexpr size_t kGates = static_cast<size_t>(Gate::kRoutingOverlap) + 1;

struct GateInfo {
  Gate gate;
  std::string_view name;
  bool at_least;  // else at most
  double limit;   // by default; infinite: judged only where a limit is given
  std::string_view unit;
  std::string_view what;
};
const GateInfo& Info(Gate gate);
inline std::string_view Name(Gate gate) { return Info(gate).name; }

struct GateValue {
  Gate gate;
  double value;
};

// The gates that a weight stored in this way must pass, and its values. `misrounded`: values of a
// plain tensor that are not the original's, rounded to its type.
std::vector<GateValue> GateValues(StorageKind kind, const QualityStats& stats, uint64_t misrounded);

class QualityGates {
 public:
  // Of texts "NAME=VALUE"; kUsage with the list of names, or with what a value must be.
  static Result<QualityGates> WithOverrides(std::span<const std::string> overrides);

  // `kind` matters for gates of a forward comparison alone.
  double limit(Gate gate, StorageKind kind = StorageKind::kPlain) const;
  bool Passes(const GateValue& value, StorageKind kind = StorageKind::kPlain) const;

 private:
  std::array<std::optional<double>, kGates> given_;
};

}  // namespace tessera
