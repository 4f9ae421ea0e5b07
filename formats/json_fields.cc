#include "formats/json_fields.h"

#include <algorithm>
#include <limits>

namespace tessera {
namespace {

// Long values are cut: tokenizers have templates of many kilobytes.
std::string Shown(const Json& value) {
  constexpr size_t kMost = 80;
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

std::unexpected<Error> WrongField(const Json& json, std::string_view what, const char* name,
                                  const char* expected) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  return Fail(Error(ErrorCode::kBadTokenizer,
                    "`" + std::string(name) + "` of " + std::string(what) + " is not " + expected)
                  .Found(found == json.end() ? "nothing" : Shown(*found)));
}

const Json* FindField(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

}  // namespace

Result<void> CheckFields(const Json& json, std::string_view what,
                         std::initializer_list<std::string_view> known) {
  if (!json.is_object()) {
    return Fail(Error(ErrorCode::kBadTokenizer, std::string(what) + " is no JSON object")
                    .Found(Shown(json)));
  }
  for (const auto& [name, value] : json.items()) {
    if (std::ranges::find(known, name) == known.end()) {
      return Fail(Error(ErrorCode::kUnsupported,
                        "unknown field " + QuoteJson(name) + " of " + std::string(what))
                      .Found(Shown(value)));
    }
  }
  return {};
}

Result<bool> BoolField(const Json& json, std::string_view what, const char* name) {
  const Json* const value = FindField(json, name);
  if (!value || !value->is_boolean()) return WrongField(json, what, name, "true or false");
  return value->get<bool>();
}

Result<std::string> StringField(const Json& json, std::string_view what, const char* name) {
  const Json* const value = FindField(json, name);
  if (!value || !value->is_string()) return WrongField(json, what, name, "a string");
  return value->get<std::string>();
}

Result<uint32_t> IdField(const Json& json, std::string_view what, const char* name) {
  const Json* const value = FindField(json, name);
  if (!value || !value->is_number_integer() || *value < Json(0) ||
      *value > Json(std::numeric_limits<uint32_t>::max())) {
    return WrongField(json, what, name, "an id");
  }
  return value->get<uint32_t>();
}

}  // namespace tessera
