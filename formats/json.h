// JSON, the only place that knows the parser. Large files (headers, index, manifest) are read as
// events with bounded depth; small ones (config.json) as a tree that keeps the order of its keys.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "formats/result.h"

namespace tessera {

// Objects keep the order of their keys, so that an edited config.json differs only where it was
// edited.
using Json = nlohmann::ordered_json;

inline constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;
inline constexpr int kMaxJsonDepth = 64;
inline constexpr size_t kMaxKeysPerObject = 65536;  // of a tree; events have no such bound

// Receives a document's events in order. A handler that returns false stops the parse; it keeps its
// own reason. `text` views are valid during the call only.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual bool OnObject() = 0;
  virtual bool OnObjectEnd() = 0;
  virtual bool OnArray() = 0;
  virtual bool OnArrayEnd() = 0;
  virtual bool OnKey(std::string&& key) = 0;
  virtual bool OnString(std::string&& text) = 0;
  virtual bool OnUnsigned(uint64_t value) = 0;
  virtual bool OnFraction(double /*value*/) { return OnOther("a fractional or over-long number"); }
  // Null, booleans, negative, fractional and over-long numbers: what none of our big files may hold
  // where it matters. `kind` says which, for the message.
  virtual bool OnOther(std::string_view kind) = 0;
};

// Strict RFC 8259 in UTF-8: no byte-order mark, no NUL, no comments, nothing after the value. Fails
// with kJsonSyntax or kJsonDepth; returns false without an error when a handler stopped the parse.
// Duplicate keys are the handler's to judge.
Result<bool> ParseJsonEvents(std::string_view text, JsonEvents& events,
                             int max_depth = kMaxJsonDepth);

// The same as a tree; duplicate keys are kJsonDuplicateKey, an object of more than
// `max_keys` keys is kJsonTooLarge. Time O(n log n) in the length of the text.
Result<Json> ParseJson(std::string_view text, size_t max_keys = kMaxKeysPerObject);
// A whole file, at most `max_bytes`.
Result<Json> ReadJsonFile(const std::string& path, uint64_t max_bytes = kMaxConfigBytes,
                          size_t max_keys = kMaxKeysPerObject);

// The place of the first byte that is not part of well-formed UTF-8 (no overlong forms, no
// surrogates), if any.
std::optional<size_t> FindNonUtf8(std::string_view text);

// A quoted, escaped JSON string.
std::string QuoteJson(std::string_view text);
// Two-space indent and a final newline, as the hub's files have it.
std::string RenderJson(const Json& json);

}  // namespace tessera
