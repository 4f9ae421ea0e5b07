#include "cli/gguf_table.h"

#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "formats/gguf_hf_config.h"
#include "formats/json.h"

namespace tessera::cli {
namespace {

constexpr size_t kLongest = 48;

template <class T>
constexpr bool kIsArray = !std::is_arithmetic_v<T> && !std::is_same_v<T, std::string>;

// Bytes that are no UTF-8 become the replacement character.
std::string Quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// As it was written, of F32 too.
template <class T>
auto Number(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return ShortestDecimal(value);
  } else {
    return value;
  }
}

std::string Shown(const GgufValue& value) {
  return std::visit(
      []<class T>(const T& v) -> std::string {
        if constexpr (kIsArray<T>) {
          return Plural(v.size(), "element");
        } else if constexpr (std::is_same_v<T, std::string>) {
          return v.size() <= kLongest ? Quoted(v) : Quoted(v.substr(0, kLongest)) + "...";
        } else {
          return Json(Number(v)).dump();
        }
      },
      value);
}

}  // namespace

void PrintGgufMetadata(Terminal& terminal, const GgufMetadata& metadata) {
  std::vector<TableRow> rows;
  for (const auto& [key, value] : metadata) rows.push_back({key, TypeName(value), Shown(value)});
  terminal.Print("\n");
  terminal.PrintTable({"metadata", "type", "value"}, rows,
                      {Align::kLeft, Align::kLeft, Align::kLeft});
}

SortedJson GgufMetadataJson(const GgufMetadata& metadata) {
  SortedJson json = SortedJson::object();
  for (const auto& [key, value] : metadata) {
    json[key] = std::visit(
        [&]<class T>(const T& v) -> SortedJson {
          if constexpr (kIsArray<T>) {
            return {{"type", TypeName(value)}, {"elements", v.size()}};
          } else if constexpr (std::is_same_v<T, std::string>) {
            return SortedJson::parse(Quoted(v));
          } else {
            return Number(v);
          }
        },
        value);
  }
  return json;
}

}  // namespace tessera::cli
