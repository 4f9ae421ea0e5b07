// An oddity worth telling a person about that does not stop the work, or, for `inspect --check`,
// one that does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tessera {

enum class Severity : uint8_t { kNote, kWarning, kError };

constexpr std::string_view Name(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "error";
}

struct Finding {
  std::string rule;  // a stable name, e.g. "total-size", "unaligned", or Name(ErrorCode)
  Severity severity = Severity::kNote;
  std::string tensor;  // or empty
  std::string file;    // or empty
  std::string what;    // one sentence with its numbers
  std::string remedy;  // what to do, or empty
};

}  // namespace tessera
