#include "verify/quality_gates.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace tessera {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

constexpr GateInfo kTable[] = {
    {Gate::kUnmatched, "unmatched", false, 0, "",
     "tensors that only one side has, for no reason that is known"},
    {Gate::kConfig, "config", false, 0, "",
     "tensors that are not as the config.json beside them describes the model"},
    {Gate::kForm, "form", false, 0, "",
     "tensors of another shape, of a type that cannot be decoded, or with other bytes of one that "
     "is no float"},
    {Gate::kCopied, "copied", false, 0, "",
     "values that differ though both sides are stored alike, with the same scales"},
    {Gate::kRounding, "rounding", false, 0, "",
     "values of F32, BF16 or F16 tensors that are not A's value, rounded"},
    {Gate::kNotFinite, "not-finite", false, 0, "",
     "values that are NaN or infinite on one side and not the same on the other"},
    {Gate::kSqnrFp8, "sqnr-fp8", true, 30, "dB", "lowest SQNR of an FP8 tensor"},
    {Gate::kSqnrInt8Group, "sqnr-int8-group", true, 38, "dB",
     "lowest SQNR of an INT8 tensor with a scale for every 128 weights or fewer; also Q8_0"},
    {Gate::kSqnrInt8, "sqnr-int8", true, 30, "dB",
     "lowest SQNR of an INT8 tensor with a scale for a channel or a block"},
    {Gate::kSqnrInt4, "sqnr-int4", true, 14, "dB",
     "lowest SQNR of an INT4 tensor; also Q4_0, IQ4_NL, IQ4_XS"},
    {Gate::kMeanSqnrInt4, "mean-sqnr-int4", true, 16, "dB", "mean SQNR of the INT4 tensors"},
    {Gate::kSqnrFp4, "sqnr-fp4", true, 13, "dB", "lowest SQNR of an MXFP4 tensor"},
    {Gate::kSqnr6Bit, "sqnr-6bit", true, 27, "dB", "lowest SQNR of a Q6_K tensor"},
    {Gate::kSqnr5Bit, "sqnr-5bit", true, 20, "dB", "lowest SQNR of a Q5_0, Q5_1 or Q5_K tensor"},
    {Gate::kSqnr4Bit, "sqnr-4bit", true, 18, "dB", "lowest SQNR of a Q4_1 or Q4_K tensor"},
    {Gate::kSqnr3Bit, "sqnr-3bit", true, 12, "dB", "lowest SQNR of a Q3_K tensor"},
    {Gate::kSqnr2Bit, "sqnr-2bit", true, 6, "dB", "lowest SQNR of a Q2_K tensor"},
    {Gate::kPredictedGap, "predicted-gap", false, 0.3, "dB",
     "SQNR of a tensor below what its scales predict"},
    {Gate::kWorstRow, "worst-row", false, 3, "dB", "SQNR of a row below what its scales predict"},
    {Gate::kWorstGroup, "worst-group", true, 3, "dB",
     "lowest SQNR of 128 columns of a row, where rounding does not explain it"},
    {Gate::kGain8Bit, "gain-8bit", false, 0.001, "",
     "least-squares gain of an FP8 or INT8 tensor, off what rounding explains"},
    {Gate::kGain4Bit, "gain-4bit", false, 0.04, "",
     "least-squares gain of a tensor of 6 bits or fewer, off what rounding explains"},
    {Gate::kKl, "kl", false, kInfinity, "nats", "mean divergence of B's predictions from A's"},
    {Gate::kTop1, "top1", true, -kInfinity, "",
     "share of positions with the same likeliest token, two standard errors added"},
    {Gate::kResidualError, "residual-error", false, kInfinity, "",
     "relative error of the residual stream after a layer"},
    {Gate::kRoutingOverlap, "routing-overlap", true, -kInfinity, "",
     "share of the chosen experts that both choose, in a layer"},
};

// What people hold such checkpoints to; FP8 between what GGUF's 8 and 6 bits are known for.
struct ForwardLimits {
  StorageKind kind;
  double kl, top1;
};
constexpr ForwardLimits kForwardLimits[] = {
    {StorageKind::kPlain, 1e-5, 0.999},     {StorageKind::kFp8, 1e-2, 0.95},
    {StorageKind::kInt8Group, 2e-3, 0.975}, {StorageKind::kInt8, 2e-3, 0.975},
    {StorageKind::k6Bit, 1e-2, 0.95},       {StorageKind::k5Bit, 2e-2, 0.935},
    {StorageKind::k4Bit, 5e-2, 0.91},       {StorageKind::kInt4, 5e-2, 0.92},
    {StorageKind::kFp4, 1e-1, 0.88},        {StorageKind::k3Bit, 1.5e-1, 0.85},
    {StorageKind::k2Bit, 5e-1, 0.7},        {StorageKind::kOther, 5e-2, 0.92},
};

constexpr bool TablesFollowEnums() {
  for (size_t i = 0; i < kGates; ++i) {
    if (static_cast<size_t>(kTable[i].gate) != i) return false;
  }
  for (size_t i = 0; i < std::size(kForwardLimits); ++i) {
    if (static_cast<size_t>(kForwardLimits[i].kind) != i) return false;
  }
  return std::size(kTable) == kGates;
}
static_assert(TablesFollowEnums());

std::string Names() {
  std::string names;
  for (const GateInfo& info : kTable) {
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  }
  return names;
}

const GateInfo* FindGate(std::string_view name) {
  for (const GateInfo& info : kTable) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

StorageKind KindOfBlocks(Dtype dtype) {
  switch (dtype) {
    case Dtype::kQ8_0:
      return StorageKind::kInt8Group;
    case Dtype::kQ6_K:
      return StorageKind::k6Bit;
    case Dtype::kQ5_0:
    case Dtype::kQ5_1:
    case Dtype::kQ5_K:
      return StorageKind::k5Bit;
    case Dtype::kQ4_1:
    case Dtype::kQ4_K:
      return StorageKind::k4Bit;
    case Dtype::kQ3_K:
      return StorageKind::k3Bit;
    case Dtype::kQ2_K:
      return StorageKind::k2Bit;
    case Dtype::kQ4_0:
    case Dtype::kIq4Nl:
    case Dtype::kIq4Xs:
      return StorageKind::kInt4;
    case Dtype::kMxfp4:
      return StorageKind::kFp4;
    default:
      return StorageKind::kOther;
  }
}

// The block type of fewest bits that the weight is stored in.
std::optional<Dtype> BlocksIn(const StoredWeight& weight) {
  const auto bits = [](const TensorExtent* part) {
    const DtypeInfo& info = Info(part->info.dtype());
    return static_cast<double>(info.block_bits) / info.block;
  };
  const Dtype coarsest = (*std::ranges::min_element(weight.parts, {}, bits))->info.dtype();
  return Info(coarsest).is_block() ? std::optional(coarsest) : std::nullopt;
}

}  // namespace

std::string_view Name(StorageKind kind) {
  constexpr std::string_view kNames[] = {"plain", "fp8",  "int8-group", "int8", "6bit", "5bit",
                                         "4bit",  "int4", "fp4",        "3bit", "2bit", "other"};
  return kNames[static_cast<size_t>(kind)];
}

StorageKind KindOf(const StoredWeight& weight) {
  if (weight.scheme == nullptr || !weight.is_quantized()) return StorageKind::kPlain;
  if (const auto blocks = BlocksIn(weight)) return KindOfBlocks(*blocks);
  const TensorInfo& codes = weight.parts[0]->info;
  if (codes.dtype() == Dtype::kF8E4M3 || codes.dtype() == Dtype::kF8E5M2) return StorageKind::kFp8;
  const uint64_t weights = weight.rows * weight.cols;
  const uint64_t bits = 8 * codes.bytes();
  if (bits == 4 * weights) return StorageKind::kInt4;
  if (bits != 8 * weights) return StorageKind::kOther;
  const uint64_t scales = weight.parts[1]->info.elements();
  return scales * kQualityGroup >= weights ? StorageKind::kInt8Group : StorageKind::kInt8;
}

bool SameEncoding(const StoredWeight& a, const StoredWeight& b) {
  const auto same = [](const TensorExtent* x, const TensorExtent* y) {
    return x->info.dtype() == y->info.dtype() && x->info.shape() == y->info.shape();
  };
  if ((a.scheme == nullptr) != (b.scheme == nullptr)) return false;
  if (a.scheme != nullptr && a.scheme->name() != b.scheme->name()) return false;
  return std::ranges::equal(a.parts, b.parts, same);
}

StorageKind KindOfChange(const StorageMap& a, const StorageMap& b) {
  StorageKind coarsest = StorageKind::kPlain;
  for (const StoredWeight& weight : b.weights()) {
    const StoredWeight* original = a.Find(weight.name);
    if (original == nullptr || SameEncoding(*original, weight)) continue;
    coarsest = std::max(coarsest, KindOf(weight));
  }
  return coarsest;
}

const GateInfo& Info(Gate gate) { return kTable[static_cast<size_t>(gate)]; }

std::vector<GateValue> GateValues(StorageKind kind, const QualityStats& stats,
                                  uint64_t misrounded) {
  std::vector<GateValue> values = {{Gate::kNotFinite, static_cast<double>(stats.not_finite)}};
  if (kind == StorageKind::kPlain) {
    values.push_back({Gate::kRounding, static_cast<double>(misrounded)});
    return values;
  }
  if (kind == StorageKind::kFp8) values.push_back({Gate::kSqnrFp8, stats.sqnr()});
  if (kind == StorageKind::kInt8Group) values.push_back({Gate::kSqnrInt8Group, stats.sqnr()});
  if (kind == StorageKind::kInt8) values.push_back({Gate::kSqnrInt8, stats.sqnr()});
  if (kind == StorageKind::kInt4) values.push_back({Gate::kSqnrInt4, stats.sqnr()});
  if (kind == StorageKind::kFp4) values.push_back({Gate::kSqnrFp4, stats.sqnr()});
  if (kind == StorageKind::k6Bit) values.push_back({Gate::kSqnr6Bit, stats.sqnr()});
  if (kind == StorageKind::k5Bit) values.push_back({Gate::kSqnr5Bit, stats.sqnr()});
  if (kind == StorageKind::k4Bit) values.push_back({Gate::kSqnr4Bit, stats.sqnr()});
  if (kind == StorageKind::k3Bit) values.push_back({Gate::kSqnr3Bit, stats.sqnr()});
  if (kind == StorageKind::k2Bit) values.push_back({Gate::kSqnr2Bit, stats.sqnr()});
  if (stats.predicted) values.push_back({Gate::kPredictedGap, stats.excess()});
  if (const auto& row = stats.least_expected_row) {
    values.push_back({Gate::kWorstRow, row->excess()});
  }
  const auto& group = stats.predicted ? stats.unexplained_group : stats.worst_group;
  values.push_back({Gate::kWorstGroup, group ? group->sqnr() : kInfinity});
  // MXFP4 clips, and so its values are too small as a whole.
  if (kind != StorageKind::kOther && kind != StorageKind::kFp4) {
    values.push_back(
        {kind >= StorageKind::kInt4 ? Gate::kGain4Bit : Gate::kGain8Bit, stats.unexplained_gain()});
  }
  return values;
}

Result<QualityGates> QualityGates::WithOverrides(std::span<const std::string> overrides) {
  QualityGates gates;
  for (const std::string& text : overrides) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const GateInfo* info = FindGate(name);
    if (info == nullptr) {
      return Fail(Error(ErrorCode::kUsage, "--gate: no gate is called " + name)
                      .Expected("NAME=VALUE, NAME one of " + Names()));
    }
    const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    double limit = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), limit);
    if (error != std::errc() || end != value.data() + value.size() || std::isnan(limit)) {
      return Fail(Error(ErrorCode::kUsage, "--gate: " + name + " needs a number")
                      .Expected(name + "=NUMBER, or =inf or =-inf to switch it off")
                      .Found(text));
    }
    gates.given_[static_cast<size_t>(info->gate)] = limit;
  }
  return gates;
}

double QualityGates::limit(Gate gate, StorageKind kind) const {
  if (const auto given = given_[static_cast<size_t>(gate)]) return *given;
  const ForwardLimits& of_kind = kForwardLimits[static_cast<size_t>(kind)];
  if (gate == Gate::kKl) return of_kind.kl;
  return gate == Gate::kTop1 ? of_kind.top1 : Info(gate).limit;
}

// A value that is not a number passes nothing.
bool QualityGates::Passes(const GateValue& value, StorageKind kind) const {
  const double bound = limit(value.gate, kind);
  return Info(value.gate).at_least ? value.value >= bound : value.value <= bound;
}

}  // namespace tessera
