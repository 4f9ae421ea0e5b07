#include "tests/fuzz/folder_document.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string_view>

#include "tests/support/safetensors_file.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFile = uint64_t{1} << 42;  // what file systems take
constexpr uint64_t kMaxData = uint64_t{1} << 20;  // of which values are written

template <class T>
void Append(T value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// null stands for NaN, and what F32 does not hold for infinity.
float FloatOf(const Json& value) {
  if (!value.is_number()) return std::numeric_limits<float>::quiet_NaN();
  const auto number = value.get<double>();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (std::abs(number) > double{std::numeric_limits<float>::max()}) {
    return number > 0 ? kInfinity : -kInfinity;
  }
  return static_cast<float>(number);
}

// Of what is not one an integer all the same.
uint64_t IntegerOf(const Json& value) {
  return value.is_number_integer() ? value.get<uint64_t>() : 0;
}

// One name, or two of which the first is a folder. Keys without a dot say something else.
bool IsFileName(const std::string& name) {
  const size_t slash = std::min(name.find('/'), name.size());
  const auto is_name = [](std::string_view part) {
    return !part.empty() && part.size() < 100 && part.front() != '.' &&
           part.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
  };
  const std::string_view whole = name;
  return name.find('.') != std::string::npos && is_name(whole.substr(0, slash)) &&
         (slash == name.size() || is_name(whole.substr(slash + 1)));
}

}  // namespace

std::string BytesOfValues(const Json& values, std::string_view dtype) {
  std::string bytes;
  for (const Json& value : values) {
    if (dtype == "F32") {
      Append(FloatOf(value), bytes);
    } else if (dtype.ends_with("64")) {
      Append(IntegerOf(value), bytes);
    } else if (dtype.ends_with("32")) {
      Append(static_cast<uint32_t>(IntegerOf(value)), bytes);
    } else if (dtype.ends_with("16")) {
      Append(static_cast<uint16_t>(IntegerOf(value)), bytes);
    } else {
      Append(static_cast<uint8_t>(IntegerOf(value)), bytes);
    }
  }
  return bytes;
}

ShardFile ShardOf(Json header) {
  uint64_t end = 0;
  std::string data;
  if (header.is_object()) {
    for (auto& [tensor, entry] : header.items()) {
      if (!entry.is_object() || tensor == "__metadata__") continue;
      // Shapes that no file could hold are tried all the same, at the end of one that is too short.
      const uint64_t bytes = std::min(BytesOfEntry(entry), kMaxFile);
      if (const auto values = entry.find("values"); values != entry.end()) {
        if (bytes != 0 && end <= kMaxData) {
          data.resize(end);
          data += BytesOfValues(*values, entry["dtype"].get<std::string>()).substr(0, bytes);
        }
        entry.erase(values);
      }
      if (entry.contains("data_offsets")) continue;
      entry["data_offsets"] = {end, end + bytes};
      end += bytes;
    }
  }
  const std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  ShardFile file;
  Append(uint64_t{text.size()}, file.bytes);
  file.bytes += text + data;
  file.size = std::min(sizeof(uint64_t) + text.size() + end, kMaxFile);
  return file;
}

uint64_t WriteFolder(const TempDir& dir, const Json& document) {
  uint64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir.path())) {
    fs::remove_all(entry.path());
  }
  for (const auto& [name, contents] : document.items()) {
    const fs::path path = dir / name;
    if (!IsFileName(name) || fs::exists(path) || fs::is_regular_file(path.parent_path())) continue;
    if (!contents.is_string() && name.ends_with(".safetensors")) {
      const ShardFile file = ShardOf(contents);
      dir.Write(name, file.bytes);
      fs::resize_file(path, file.size);
    } else {
      dir.Write(name, contents.is_string() ? contents.get<std::string>() : RenderJson(contents));
    }
    bytes += fs::file_size(path);
  }
  return bytes;
}

}  // namespace tessera
