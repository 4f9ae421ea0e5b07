// Regular expressions as the engines' lists of modules hold them: what Python's re.match says.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

#include "formats/result.h"

namespace tessera {

// Anchored at the start of the name, not at its end. Literals, classes, groups, alternatives,
// counted and lazy repeats, ^ $ \b and lookahead; what no module list needs (back references,
// lookbehind, flags, nested lookahead) is refused. A list comes with the checkpoint and may be
// hostile, so matching takes O(pattern x name) steps whatever the pattern, and no recursion on the
// name.
class Pattern {
 public:
  // kUnsupported for syntax we do not know, kBadConfig for what Python would not compile either.
  static Result<Pattern> Compile(std::string_view text);
  bool MatchesStart(std::string_view name) const;

 private:
  friend class PatternCompiler;
  enum class Op : uint8_t {
    kSet,        // one character of `set`
    kSplit,      // goes on at `next` and at `other`
    kBegin,      // ^
    kEnd,        // $
    kWordEdge,   // \b; `negated`: \B
    kLookahead,  // what begins at `other` must match here; `negated`: must not
    kMatch,
  };
  struct Instruction {
    Op op = Op::kMatch;
    bool negated = false;
    uint32_t next = 0, other = 0;
    std::bitset<256> set = {};
  };

  bool Run(uint32_t start, std::string_view name, size_t at) const;
  bool Holds(const Instruction& i, std::string_view name, size_t at) const;

  std::vector<Instruction> program_;
  uint32_t start_ = 0;
};

}  // namespace tessera
