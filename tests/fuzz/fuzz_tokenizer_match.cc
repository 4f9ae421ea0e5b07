// Whether two folders have the same tokenizer: the answer does not depend on which comes first, and
// a folder has its own.
//
// An input is both folders as a JSON document, {"a": {...}, "b": {...}}.
#include "tests/fuzz/folder_document.h"
#include "tests/fuzz/require.h"
#include "verify/tokenizer_match.h"

using namespace tessera;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir a, b;
  const auto document = ParseJson(AsText(data, size));
  if (!document || !document->is_object()) return 0;
  for (const auto& [name, dir] : {std::pair("a", &a), std::pair("b", &b)}) {
    const Json folder = document->value(name, Json());
    WriteFolder(*dir, folder.is_object() ? folder : Json::object());
  }
  const bool same = CheckSameTokenizer(a.path(), b.path()).has_value();
  Require(CheckSameTokenizer(b.path(), a.path()).has_value() == same);
  Require(CheckSameTokenizer(a.path(), a.path()).has_value());
  if (document->value("a", Json()) == document->value("b", Json())) Require(same);
  return 0;
}
