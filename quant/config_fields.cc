#include "quant/config_fields.h"

#include <algorithm>
#include <utility>

namespace tessera {
namespace {

// The value as the file has it, cut short: a hostile file may hold anything.
std::string Shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 100) text = text.substr(0, 97) + "...";
  return text;
}

std::string Listed(std::initializer_list<std::string_view> texts) {
  std::string list;
  for (const std::string_view text : texts) list += (list.empty() ? "" : ", ") + QuoteJson(text);
  return list;
}

}  // namespace

Result<ConfigFields> ConfigFields::Of(const Json& value, std::string path, std::string file) {
  if (value.is_object()) return ConfigFields(value, std::move(path), std::move(file));
  return Fail(Error(ErrorCode::kBadConfig, path + " is malformed")
                  .In(std::move(file))
                  .Expected("an object")
                  .Found(Shown(value)));
}

const Json* ConfigFields::Find(std::string_view key) const {
  const auto field = object_->find(key);
  return field == object_->end() || field->is_null() ? nullptr : &*field;
}

std::string ConfigFields::Show(std::string_view key) const {
  const Json* field = Find(key);
  return field == nullptr ? "none" : Shown(*field);
}

Error ConfigFields::Malformed(std::string_view key, std::string expected) const {
  const bool missing = Find(key) == nullptr;
  return Error(ErrorCode::kBadConfig, PathOf(key) + (missing ? " is missing" : " is malformed"))
      .In(file_)
      .Expected(std::move(expected))
      .Found(Show(key));
}

Error ConfigFields::Unsupported(std::string_view key, std::string expected) const {
  return Error(ErrorCode::kUnsupported, PathOf(key) + " is not supported")
      .In(file_)
      .Expected(std::move(expected))
      .Found(Show(key));
}

Result<ConfigFields> ConfigFields::Object(std::string_view key) const {
  const Json* field = Find(key);
  if (field == nullptr) return Fail(Malformed(key, "an object"));
  return Of(*field, PathOf(key), file_);
}

Result<std::optional<std::string>> ConfigFields::Text(std::string_view key) const {
  const Json* field = Find(key);
  if (field == nullptr) return std::nullopt;
  if (!field->is_string()) return Fail(Malformed(key, "a string"));
  return field->get<std::string>();
}

Result<std::optional<bool>> ConfigFields::Flag(std::string_view key) const {
  const Json* field = Find(key);
  if (field == nullptr) return std::nullopt;
  if (!field->is_boolean()) return Fail(Malformed(key, "true or false"));
  return field->get<bool>();
}

Result<std::optional<int64_t>> ConfigFields::Integer(std::string_view key) const {
  const Json* field = Find(key);
  if (field == nullptr) return std::nullopt;
  if (!field->is_number_integer()) return Fail(Malformed(key, "an integer"));
  return field->get<int64_t>();
}

Result<std::optional<double>> ConfigFields::Number(std::string_view key) const {
  const Json* field = Find(key);
  if (field == nullptr) return std::nullopt;
  if (!field->is_number()) return Fail(Malformed(key, "a number"));
  return field->get<double>();
}

Result<void> ConfigFields::Names(std::string_view key, std::vector<std::string>& names) const {
  const Json* field = Find(key);
  if (field == nullptr) return {};
  if (!field->is_array()) return Fail(Malformed(key, "a list of names"));
  for (const Json& name : *field) {
    if (!name.is_string()) return Fail(Malformed(key, "a name in every place of the list"));
    names.push_back(name.get<std::string>());
  }
  return {};
}

Result<bool> ConfigFields::OneOf(std::string_view key,
                                 std::initializer_list<std::string_view> supported) const {
  TESSERA_ASSIGN(const std::optional<std::string> text, Text(key));
  if (!text) return false;
  if (std::ranges::find(supported, *text) != supported.end()) return true;
  return Fail(Unsupported(key, Listed(supported)));
}

Result<void> ConfigFields::OnlyFlag(std::string_view key, bool supported) const {
  TESSERA_ASSIGN(const std::optional<bool> flag, Flag(key));
  if (!flag || *flag == supported) return {};
  return Fail(Unsupported(key, supported ? "true" : "false"));
}

Result<void> ConfigFields::Without(std::string_view key) const {
  const Json* field = Find(key);
  const bool none =
      field == nullptr || *field == false || (field->is_structured() && field->empty());
  if (none) return {};
  return Fail(Unsupported(key, "null"));
}

Result<void> ConfigFields::OnlyKnown(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : object_->items()) {
    if (std::ranges::find(keys, key) == keys.end()) {
      return Fail(Error(ErrorCode::kUnsupported, PathOf(key) + " is not known")
                      .In(file_)
                      .Expected("none but " + Listed(keys))
                      .Found(Shown(value)));
    }
  }
  return {};
}

}  // namespace tessera
