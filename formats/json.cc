#include "formats/json.h"

#include <cstring>
#include <set>
#include <vector>

#include "formats/file.h"

namespace tessera {
namespace {

// Adapts the library's SAX interface to ours and bounds the depth.
class Adapter {
 public:
  Adapter(JsonEvents& events, int max_depth) : events_(events), max_depth_(max_depth) {}

  bool null() { return events_.OnOther("null"); }
  bool boolean(bool) { return events_.OnOther("a boolean"); }
  bool number_integer(int64_t) { return events_.OnOther("a negative number"); }
  bool number_unsigned(uint64_t value) { return events_.OnUnsigned(value); }
  bool number_float(double value, const std::string&) { return events_.OnFraction(value); }
  bool string(std::string& text) { return events_.OnString(std::move(text)); }
  bool binary(Json::binary_t&) { return events_.OnOther("binary data"); }
  bool key(std::string& text) { return events_.OnKey(std::move(text)); }
  bool start_object(size_t) { return Deeper() && events_.OnObject(); }
  bool end_object() { return --depth_, events_.OnObjectEnd(); }
  bool start_array(size_t) { return Deeper() && events_.OnArray(); }
  bool end_array() { return --depth_, events_.OnArrayEnd(); }
  bool parse_error(size_t position, const std::string&, const Json::exception& e) {
    syntax_error = e.what();
    error_position = position;
    return false;
  }

  bool too_deep = false;
  size_t error_position = 0;
  std::string syntax_error;

 private:
  bool Deeper() {
    too_deep = ++depth_ > max_depth_;
    return !too_deep;
  }

  JsonEvents& events_;
  const int max_depth_;
  int depth_ = 0;
};

// Builds a tree, refusing duplicate keys (the library would keep the last).
class TreeBuilder {
 public:
  explicit TreeBuilder(size_t max_keys) : max_keys_(max_keys) {}

  bool null() { return Put(nullptr); }
  bool boolean(bool value) { return Put(value); }
  bool number_integer(int64_t value) { return Put(value); }
  bool number_unsigned(uint64_t value) { return Put(value); }
  bool number_float(double value, const std::string&) { return Put(value); }
  bool string(std::string& text) { return Put(std::move(text)); }
  bool binary(Json::binary_t&) { return false; }
  bool key(std::string& text) {
    Level& level = open_.back();
    if (level.keys.size() == max_keys_) return too_many_keys = true, false;
    if (!level.keys.insert(text).second) return duplicate = text, false;
    key_ = std::move(text);
    return true;
  }
  bool start_object(size_t) { return Open(Json::object()); }
  bool end_object() { return open_.pop_back(), true; }
  bool start_array(size_t) { return Open(Json::array()); }
  bool end_array() { return open_.pop_back(), true; }
  bool parse_error(size_t, const std::string&, const Json::exception& e) {
    syntax_error = e.what();
    return false;
  }

  Json root;
  bool too_deep = false, too_many_keys = false;
  std::optional<std::string> duplicate;
  std::string syntax_error;

 private:
  struct Level {
    Json* value;
    std::set<std::string> keys;  // of an object
  };

  Json* Place(Json value) {
    if (open_.empty()) return &(root = std::move(value));
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // Appended as to a vector: the map's own insertion searches all keys, quadratic in the end.
    auto& pairs = static_cast<Json::object_t::Container&>(parent.get_ref<Json::object_t&>());
    return &pairs.emplace_back(std::move(key_), std::move(value)).second;
  }
  bool Put(Json value) { return Place(std::move(value)), true; }
  bool Open(Json empty) {
    too_deep = open_.size() >= kMaxJsonDepth;
    if (too_deep) return false;
    // A pointer stays valid: while a child is open its parent is not appended to.
    open_.push_back({Place(std::move(empty)), {}});
    return true;
  }

  const size_t max_keys_;
  std::vector<Level> open_;
  std::string key_;
};

// What the library lets pass and RFC 8259 does not: it skips a byte-order mark and ends at a NUL.
Result<void> CheckRawBytes(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    return Fail(ErrorCode::kJsonSyntax, "JSON begins with a byte-order mark");
  }
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Fail(ErrorCode::kJsonSyntax, "JSON holds a NUL at byte " + std::to_string(nul));
  }
  return {};
}

std::unexpected<Error> TooDeep(int max_depth) {
  return Fail(Error(ErrorCode::kJsonDepth, "JSON is nested too deeply")
                  .Expected("at most " + std::to_string(max_depth) + " levels"));
}

// The library's texts begin with "[json.exception.parse_error.101] "; people do not need that.
std::unexpected<Error> Syntax(const std::string& library_text) {
  const size_t end = library_text.find("] ");
  return Fail(ErrorCode::kJsonSyntax,
              "malformed JSON: " +
                  (end == std::string::npos ? library_text : library_text.substr(end + 2)));
}

}  // namespace

Result<bool> ParseJsonEvents(std::string_view text, JsonEvents& events, int max_depth) {
  TESSERA_TRY(CheckRawBytes(text));
  Adapter adapter(events, max_depth);
  if (Json::sax_parse(text.begin(), text.end(), &adapter)) return true;
  if (adapter.too_deep) return TooDeep(max_depth);
  if (!adapter.syntax_error.empty()) return Syntax(adapter.syntax_error);
  return false;
}

Result<Json> ParseJson(std::string_view text, size_t max_keys) {
  TESSERA_TRY(CheckRawBytes(text));
  TreeBuilder builder(max_keys);
  if (Json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder.root);
  if (builder.too_deep) return TooDeep(kMaxJsonDepth);
  if (builder.duplicate) {
    return Fail(ErrorCode::kJsonDuplicateKey, "duplicate key " + QuoteJson(*builder.duplicate));
  }
  if (builder.too_many_keys) {
    return Fail(Error(ErrorCode::kJsonTooLarge, "a JSON object has too many keys")
                    .Expected("at most " + std::to_string(max_keys)));
  }
  return Syntax(builder.syntax_error);
}

Result<Json> ReadJsonFile(const std::string& path, uint64_t max_bytes, size_t max_keys) {
  TESSERA_ASSIGN(const std::string text, ReadWholeFile(path, max_bytes));
  Result<Json> json = ParseJson(text, max_keys);
  if (!json) return Fail(std::move(json).error().Within(path));
  return json;
}

std::optional<size_t> FindNonUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    uint64_t eight;
    if (text.size() - i >= sizeof eight) {
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof eight;
        continue;
      }
    }
    const uint8_t lead = byte(i);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xC2 ? 0
                          : lead < 0xE0 ? 2
                          : lead < 0xF0 ? 3
                          : lead < 0xF5 ? 4
                                        : 0;
    if (length == 0 || length > text.size() - i) return i;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return i;
    }
    if (length > 2) {
      // The second byte alone tells overlong forms, surrogates and what lies past U+10FFFF.
      const uint8_t second = byte(i + 1);
      if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
          (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
        return i;
      }
    }
    i += length;
  }
  return std::nullopt;
}

std::string QuoteJson(std::string_view text) {
  // Bytes that are not UTF-8 can only come from file names; they are shown replaced, never thrown
  // at.
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string RenderJson(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tessera
