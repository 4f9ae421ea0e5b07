// What the library makes of a tokenizer, for tests in Python:
//   tokenizer_probe encode FOLDER <TEXTS.json   a JSON list of texts gives a list of id lists, null
//                                               for a text that is refused
//   tokenizer_probe gguf FOLDER                 the GGUF keys: [[key, type, value], ...]
// Bytes that are not UTF-8 travel in hexadecimal: a text may be {"hex": "..."}.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>

#include "formats/json.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_gguf.h"

namespace tessera {
namespace {

constexpr const char* kTypes[] = {"u8",    "i8",     "u16",   "i16",   "u32",   "i32",
                                  "f32",   "bool",   "str",   "u64",   "i64",   "f64",
                                  "[u8]",  "[i8]",   "[u16]", "[i16]", "[u32]", "[i32]",
                                  "[f32]", "[bool]", "[str]", "[u64]", "[i64]", "[f64]"};

std::string Unhex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

Result<Json> Encode(const char* folder) {
  TESSERA_ASSIGN(const Tokenizer tokenizer, Tokenizer::Open(folder));
  const std::string input(std::istreambuf_iterator<char>(std::cin), {});
  TESSERA_ASSIGN(const Json texts, ParseJson(input));
  Json all = Json::array();
  for (const Json& text : texts) {
    const auto ids =
        tokenizer.Encode(text.is_object() ? Unhex(text["hex"]) : text.get<std::string>());
    all.push_back(ids ? Json(*ids) : Json(nullptr));
  }
  return all;
}

Result<Json> Gguf(const std::string& folder) {
  TESSERA_ASSIGN(const Json config, ReadJsonFile(folder + "/config.json"));
  TESSERA_ASSIGN(const GgufMetadata metadata, TokenizerMetadata(folder, config));
  Json all = Json::array();
  for (const auto& [key, value] : metadata) {
    const Json shown = std::visit([](const auto& v) { return Json(v); }, value);
    all.push_back({key, kTypes[value.index()], shown});
  }
  return all;
}

int Main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  const Result<Json> shown = what == "encode" ? Encode(argv[2])
                             : what == "gguf" ? Gguf(argv[2])
                                              : Fail(ErrorCode::kUsage, "encode|gguf FOLDER");
  if (!shown) {
    std::cerr << shown.error().Text() << "\n";
    return 1;
  }
  std::cout << shown->dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) { return tessera::Main(argc, argv); }
