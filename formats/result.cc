#include "formats/result.h"

#include <algorithm>
#include <stdexcept>

namespace tessera {
namespace {

struct Row {
  ErrorCode code;
  std::string_view name;
  ErrorClass error_class;
};

using enum ErrorClass;
constexpr Row kTable[] = {
    {ErrorCode::kUsage, "usage", kUsage},
    {ErrorCode::kInternal, "internal", kInternal},
    {ErrorCode::kInterrupted, "interrupted", kInterrupted},
    {ErrorCode::kTerminated, "terminated", kTerminated},
    {ErrorCode::kNotFound, "not-found", kInput},
    {ErrorCode::kReadFailed, "read-failed", kInput},
    {ErrorCode::kInputChanged, "input-changed", kInput},
    {ErrorCode::kNotRegularFile, "not-a-regular-file", kInput},
    {ErrorCode::kWriteFailed, "write-failed", kOutput},
    {ErrorCode::kNoSpace, "no-space", kOutput},
    {ErrorCode::kOutputNotWritable, "output-not-writable", kOutput},
    {ErrorCode::kJsonSyntax, "json-syntax", kInput},
    {ErrorCode::kJsonDepth, "json-depth", kInput},
    {ErrorCode::kJsonDuplicateKey, "json-duplicate-key", kInput},
    {ErrorCode::kJsonTooLarge, "json-too-large", kInput},
    {ErrorCode::kLfsPointer, "lfs-pointer", kInput},
    {ErrorCode::kHeaderTooSmall, "header-too-small", kInput},
    {ErrorCode::kHeaderTooLarge, "header-too-large", kInput},
    {ErrorCode::kHeaderPastEnd, "header-past-end", kInput},
    {ErrorCode::kHeaderNotUtf8, "header-not-utf8", kInput},
    {ErrorCode::kHeaderSyntax, "header-syntax", kInput},
    {ErrorCode::kHeaderNotObject, "header-not-object", kInput},
    {ErrorCode::kMetadataNotStrings, "metadata-not-strings", kInput},
    {ErrorCode::kTooManyTensors, "too-many-tensors", kInput},
    {ErrorCode::kDuplicateTensor, "duplicate-tensor", kInput},
    {ErrorCode::kBadTensorEntry, "bad-tensor-entry", kInput},
    {ErrorCode::kUnknownDtype, "unknown-dtype", kInput},
    {ErrorCode::kBadShape, "bad-shape", kInput},
    {ErrorCode::kRankTooLarge, "rank-too-large", kInput},
    {ErrorCode::kSizeOverflow, "size-overflow", kInput},
    {ErrorCode::kPartialByte, "partial-byte", kInput},
    {ErrorCode::kBadOffsets, "bad-offsets", kInput},
    {ErrorCode::kSizeMismatch, "size-mismatch", kInput},
    {ErrorCode::kOverlap, "overlap", kInput},
    {ErrorCode::kHole, "hole", kInput},
    {ErrorCode::kTrailingBytes, "trailing-bytes", kInput},
    {ErrorCode::kTruncated, "truncated", kInput},
    {ErrorCode::kBadMetadata, "bad-metadata", kInput},
    {ErrorCode::kIndexSyntax, "index-syntax", kInput},
    {ErrorCode::kBadFileName, "bad-file-name", kInput},
    {ErrorCode::kMissingShard, "missing-shard", kInput},
    {ErrorCode::kExtraShard, "extra-shard", kInput},
    {ErrorCode::kShardNumbering, "shard-numbering", kInput},
    {ErrorCode::kTensorNotInShard, "tensor-not-in-shard", kInput},
    {ErrorCode::kTensorNotInIndex, "tensor-not-in-index", kInput},
    {ErrorCode::kTensorInTwoShards, "tensor-in-two-shards", kInput},
    {ErrorCode::kNoIndex, "no-index", kInput},
    {ErrorCode::kForeignWeights, "foreign-weights", kInput},
    {ErrorCode::kNoConfig, "no-config", kInput},
    {ErrorCode::kBadConfig, "bad-config", kInput},
    {ErrorCode::kUnknownModelType, "unknown-model-type", kInput},
    {ErrorCode::kMissingTensor, "missing-tensor", kInput},
    {ErrorCode::kUnknownTensor, "unknown-tensor", kInput},
    {ErrorCode::kWrongShape, "wrong-shape", kInput},
    {ErrorCode::kWrongDtype, "wrong-dtype", kInput},
    {ErrorCode::kMissingScale, "missing-scale", kInput},
    {ErrorCode::kOrphanScale, "orphan-scale", kInput},
    {ErrorCode::kUnsupported, "unsupported", kInput},
    {ErrorCode::kBadTokenizer, "bad-tokenizer", kInput},
    {ErrorCode::kOverflowsF16, "overflows-f16", kInput},
    {ErrorCode::kNotFinite, "not-finite", kInput},
    {ErrorCode::kRanksDiffer, "ranks-differ", kInput},
    {ErrorCode::kOutputConflict, "output-conflict", kUsage},
    {ErrorCode::kOutputLocked, "output-locked", kConflict},
    {ErrorCode::kForeignFile, "foreign-file", kConflict},
    {ErrorCode::kPlanMismatch, "plan-mismatch", kConflict},
    {ErrorCode::kDamagedJournal, "damaged-journal", kConflict},
    {ErrorCode::kUnfinishedParts, "unfinished-parts", kNegative},
    {ErrorCode::kMemoryBudget, "memory-budget", kMemory},
    {ErrorCode::kBadManifest, "bad-manifest", kInput},
    {ErrorCode::kBadCalibration, "bad-calibration", kInput},
    {ErrorCode::kDigestMismatch, "digest-mismatch", kNegative},
};

// The table is indexed by code, so its order and length must follow the enum.
constexpr bool TableFollowsEnum() {
  for (size_t i = 0; i < std::size(kTable); ++i) {
    if (static_cast<size_t>(kTable[i].code) != i) return false;
  }
  return static_cast<size_t>(ErrorCode::kDigestMismatch) + 1 == std::size(kTable);
}
static_assert(TableFollowsEnum());

const Row& RowOf(ErrorCode code) { return kTable[static_cast<size_t>(code)]; }

}  // namespace

std::string_view Name(ErrorCode code) { return RowOf(code).name; }
ErrorClass ClassOf(ErrorCode code) { return RowOf(code).error_class; }

std::string_view Name(ErrorClass error_class) {
  switch (error_class) {
    case kNegative:
      return "negative";
    case kUsage:
      return "usage";
    case kInput:
      return "input";
    case kOutput:
      return "output";
    case kConflict:
      return "conflict";
    case kMemory:
      return "memory";
    case kInternal:
      return "internal";
    case kInterrupted:
      return "interrupted";
    case kTerminated:
      return "terminated";
  }
  return "internal";
}

// Names come from files: they must not steer a terminal or fill it.
static std::string Printable(std::string_view text) {
  constexpr size_t kMaxShown = 1000;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string shown;
  for (size_t i = 0; i < text.size() && i < kMaxShown; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != 0x7F) {
      shown += text[i];
    } else {
      shown += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return text.size() > kMaxShown ? shown + "..." : shown;
}

std::string Error::Text() const {
  std::string text = Printable(what_);
  const auto line = [&text](std::string_view label, std::string_view value) {
    std::string head = "\n  " + std::string(label) + ":";
    head.resize(std::max<size_t>(head.size() + 1, 14), ' ');
    text += head + Printable(value);
  };
  if (!tensor_.empty() && what_.find(tensor_) == std::string::npos) line("tensor", tensor_);
  if (!file_.empty() && what_.find(file_) == std::string::npos) line("in", file_);
  for (const auto& [label, value] : facts_) line(label, value);
  if (!next_.empty()) text += "\n  " + Printable(next_);
  return text;
}

void internal::CheckFailed(const char* condition, const char* file, int line) {
  // Thrown, not printed: only cli/ may print; there it becomes exit code 70.
  throw std::logic_error("internal check failed: " + std::string(condition) + " at " + file + ":" +
                         std::to_string(line));
}

}  // namespace tessera
