// One object of a configuration, read field by field: every complaint names the field by its path.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/json.h"
#include "formats/result.h"

namespace tessera {

// Borrows the object. A field that is null counts as absent.
class ConfigFields {
 public:
  // `path` is how the object is called in messages ("quantization_config"; empty for a whole file),
  // `file` where it stands.
  // Fails when `value` is not an object.
  static Result<ConfigFields> Of(const Json& value, std::string path, std::string file);

  const Json* Find(std::string_view key) const;
  std::string PathOf(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  }
  const std::string& file() const { return file_; }

  // The object in a field; fails when there is none.
  Result<ConfigFields> Object(std::string_view key) const;
  Result<std::optional<std::string>> Text(std::string_view key) const;
  Result<std::optional<bool>> Flag(std::string_view key) const;
  Result<std::optional<int64_t>> Integer(std::string_view key) const;
  Result<std::optional<double>> Number(std::string_view key) const;
  // Appended to `names`; an absent field is an empty list.
  Result<void> Names(std::string_view key, std::vector<std::string>& names) const;

  // Refuse another value than these; true where one stands, false where the field is absent.
  Result<bool> OneOf(std::string_view key, std::initializer_list<std::string_view> supported) const;
  Result<void> OnlyFlag(std::string_view key, bool supported) const;
  // Refuse any value at all (null, false, {} and [] are none).
  Result<void> Without(std::string_view key) const;
  // Refuse fields of other names.
  Result<void> OnlyKnown(std::initializer_list<std::string_view> keys) const;

  // kBadConfig: the field has a value that no reader could make sense of, or none where one is
  // needed.
  Error Malformed(std::string_view key, std::string expected) const;
  // kUnsupported: understood, and not decodable here.
  Error Unsupported(std::string_view key, std::string expected) const;

 private:
  ConfigFields(const Json& object, std::string path, std::string file)
      : object_(&object), path_(std::move(path)), file_(std::move(file)) {}

  std::string Show(std::string_view key) const;

  const Json* object_;
  std::string path_, file_;
};

}  // namespace tessera
