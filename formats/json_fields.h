// Fields of JSON objects that are understood completely or not at all.
#pragma once

#include <initializer_list>
#include <string_view>

#include "formats/json.h"
#include "formats/result.h"

namespace tessera {

// kUnsupported unless `json` is an object with no other keys than `known`.
Result<void> CheckFields(const Json& json, std::string_view what,
                         std::initializer_list<std::string_view> known);

// kBadTokenizer unless the field is there and of the type.
Result<bool> BoolField(const Json& json, std::string_view what, const char* name);
Result<std::string> StringField(const Json& json, std::string_view what, const char* name);
Result<uint32_t> IdField(const Json& json, std::string_view what, const char* name);

}  // namespace tessera
