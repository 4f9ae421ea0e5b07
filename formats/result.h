// Errors that bytes on disk, the system or the caller can cause travel as values; our own broken
// invariants are CHECKs. Nothing here prints or exits.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera {

// What a failure means to whoever started the program; its value is the exit code (docs/cli.md).
enum class ErrorClass : uint8_t {
  kNegative = 1,  // the tool worked, the answer is no
  kUsage = 2,
  kInput = 3,     // invalid, damaged or unsupported input
  kOutput = 4,    // no space, read-only, EIO
  kConflict = 5,  // another run holds the output, or it belongs to another plan
  kMemory = 6,    // over the memory budget
  kInternal = 70,
  kInterrupted = 130,
  kTerminated = 143,
};

// Every way to fail, each with a stable name (`rule` in JSON) and a class. The table is in
// result.cc.
enum class ErrorCode : uint8_t {
  kUsage,
  kInternal,
  kInterrupted,
  kTerminated,
  // Files.
  kNotFound,
  kReadFailed,
  kInputChanged,
  kNotRegularFile,
  kWriteFailed,
  kNoSpace,
  kOutputNotWritable,
  // JSON.
  kJsonSyntax,
  kJsonDepth,
  kJsonDuplicateKey,
  kJsonTooLarge,
  // safetensors: one code a rule.
  kLfsPointer,
  kHeaderTooSmall,
  kHeaderTooLarge,
  kHeaderPastEnd,
  kHeaderNotUtf8,
  kHeaderSyntax,
  kHeaderNotObject,
  kMetadataNotStrings,
  kTooManyTensors,
  kDuplicateTensor,
  kBadTensorEntry,
  kUnknownDtype,
  kBadShape,
  kRankTooLarge,
  kSizeOverflow,
  kPartialByte,
  kBadOffsets,
  kSizeMismatch,
  kOverlap,
  kHole,
  kTrailingBytes,
  kTruncated,
  // GGUF, beside those of safetensors.
  kBadMetadata,
  // Index and shard set.
  kIndexSyntax,
  kBadFileName,
  kMissingShard,
  kExtraShard,
  kShardNumbering,
  kTensorNotInShard,
  kTensorNotInIndex,
  kTensorInTwoShards,
  kNoIndex,
  kForeignWeights,
  // Model.
  kNoConfig,
  kBadConfig,
  kUnknownModelType,
  kMissingTensor,
  kUnknownTensor,
  kWrongShape,
  kWrongDtype,
  kMissingScale,
  kOrphanScale,
  kUnsupported,
  kBadTokenizer,
  // Values.
  kOverflowsF16,
  kNotFinite,
  kRanksDiffer,
  // Running.
  kOutputConflict,
  kOutputLocked,
  kForeignFile,
  kPlanMismatch,
  kDamagedJournal,
  kUnfinishedParts,
  kMemoryBudget,
  // Checking.
  kBadManifest,
  kBadCalibration,
  kDigestMismatch,
};

std::string_view Name(ErrorCode code);
ErrorClass ClassOf(ErrorCode code);
std::string_view Name(ErrorClass error_class);  // "input", "output", ...

// One failure: what is wrong in one sentence, then where, what was expected and found, and what to
// do next. The function nearest the fact states it; callers add place with In/Of/Within.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string what) : code_(code), what_(std::move(what)) {}

  Error&& In(std::string file) && { return file_ = std::move(file), std::move(*this); }
  Error&& Of(std::string tensor) && { return tensor_ = std::move(tensor), std::move(*this); }
  Error&& Expected(std::string s) && { return std::move(*this).Fact("expected", std::move(s)); }
  Error&& Found(std::string s) && { return std::move(*this).Fact("found", std::move(s)); }
  Error&& Fact(std::string label, std::string text) && {
    facts_.emplace_back(std::move(label), std::move(text));
    return std::move(*this);
  }
  Error&& Next(std::string s) && { return next_ = std::move(s), std::move(*this); }
  // Adds the place only where the nearer function did not know one.
  Error&& Within(std::string_view file) && {
    if (file_.empty()) file_ = file;
    return std::move(*this);
  }

  ErrorCode code() const { return code_; }
  ErrorClass error_class() const { return ClassOf(code_); }
  const std::string& what() const { return what_; }
  const std::string& file() const { return file_; }
  const std::string& tensor() const { return tensor_; }
  const std::string& next() const { return next_; }
  // Label and text of what Expected, Found and Fact added, in that order.
  const std::vector<std::pair<std::string, std::string>>& facts() const { return facts_; }

  // Several lines: "<what>\n  in: ...\n  expected: ...\n  <next>", without a trailing newline.
  std::string Text() const;

 private:
  ErrorCode code_;
  std::string what_, file_, tensor_, next_;
  std::vector<std::pair<std::string, std::string>> facts_;
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> Fail(Error error) { return std::unexpected(std::move(error)); }
inline std::unexpected<Error> Fail(ErrorCode code, std::string what) {
  return std::unexpected(Error(code, std::move(what)));
}

namespace internal {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}

}  // namespace tessera

#define TESSERA_CONCAT_(a, b) a##b
#define TESSERA_CONCAT(a, b) TESSERA_CONCAT_(a, b)

// TESSERA_ASSIGN(auto x, F()): x from a Result, or return its error.
#define TESSERA_ASSIGN(decl, expr) \
  TESSERA_ASSIGN_(TESSERA_CONCAT(result_at_line_, __LINE__), decl, expr)
#define TESSERA_ASSIGN_(tmp, decl, expr)                    \
  auto tmp = (expr);                                        \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  decl = *std::move(tmp)

// TESSERA_TRY(F()): return F's error, if any.
#define TESSERA_TRY(expr)                                                              \
  do {                                                                                 \
    if (auto tried = (expr); !tried) return std::unexpected(std::move(tried).error()); \
  } while (false)

// For our own invariants only: no input may make one fail.
#define TESSERA_CHECK(condition) \
  ((condition) ? void() : ::tessera::internal::CheckFailed(#condition, __FILE__, __LINE__))
