#include "convert/engines/pattern.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace tessera {
namespace {

constexpr size_t kMaxPatternText = 4096;
constexpr size_t kMaxInstructions = 5000;
constexpr int kMaxLookaheads = 4;
constexpr int kMaxGroupDepth = 32;
constexpr uint32_t kMaxRepeat = 1000;

using Characters = std::bitset<256>;

void AddRange(Characters& set, unsigned char from, unsigned char to) {
  for (unsigned c = from; c <= to; ++c) set.set(c);
}

Characters WordCharacters() {
  Characters set;
  AddRange(set, 'a', 'z');
  AddRange(set, 'A', 'Z');
  AddRange(set, '0', '9');
  set.set('_');
  return set;
}

// \d, \w, \s and their complements; nullopt for any other letter.
std::optional<Characters> ClassOf(char letter) {
  Characters set;
  switch (letter) {
    case 'd':
    case 'D':
      AddRange(set, '0', '9');
      break;
    case 'w':
    case 'W':
      set = WordCharacters();
      break;
    case 's':
    case 'S':
      AddRange(set, '\t', '\r');
      set.set(' ');
      break;
    default:
      return std::nullopt;
  }
  return letter >= 'a' ? set : ~set;
}

bool IsLetterOrDigit(char c) { return WordCharacters().test(static_cast<uint8_t>(c)) && c != '_'; }

}  // namespace

// Recursive descent over the text; code is emitted back to front, so that every part knows what
// follows it.
class PatternCompiler {
 public:
  explicit PatternCompiler(std::string_view text) : text_(text) {}

  Result<Pattern> Compile() {
    if (text_.size() > kMaxPatternText) return Fail(Unsupported("a pattern of this length"));
    TESSERA_ASSIGN(const Node* whole, ParseAlternatives(0));
    if (at_ != text_.size()) return Fail(Malformed("a ) that closes nothing"));
    const uint32_t match = Emit({.op = Pattern::Op::kMatch});
    TESSERA_ASSIGN(pattern_.start_, EmitNode(*whole, match));
    return std::move(pattern_);
  }

 private:
  enum class Kind : uint8_t { kSet, kSequence, kAlternatives, kRepeat, kAssertion, kLookahead };
  struct Node {
    Kind kind = Kind::kSequence;
    Characters set = {};
    std::vector<const Node*> children = {};
    uint32_t min = 0;
    std::optional<uint32_t> max = std::nullopt;  // of a repeat; none: no bound
    Pattern::Op assertion = Pattern::Op::kBegin;
    bool negated = false;
  };

  Error Malformed(const std::string& what) const {
    return Error(ErrorCode::kBadConfig, "a regular expression holds " + what)
        .Found(std::string(text_));
  }
  Error Unsupported(const std::string& what) const {
    return Error(ErrorCode::kUnsupported, "a regular expression holds " + what)
        .Found(std::string(text_));
  }

  bool Done() const { return at_ == text_.size(); }
  bool Take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  const Node* Keep(Node node) {
    nodes_.push_back(std::make_unique<Node>(std::move(node)));
    return nodes_.back().get();
  }
  const Node* KeepSet(const Characters& set) { return Keep({.kind = Kind::kSet, .set = set}); }

  Result<const Node*> ParseAlternatives(int depth) {
    if (depth > kMaxGroupDepth) return Fail(Unsupported("groups nested too deeply"));
    Node node{.kind = Kind::kAlternatives};
    do {
      TESSERA_ASSIGN(const Node* sequence, ParseSequence(depth));
      node.children.push_back(sequence);
    } while (Take("|"));
    return node.children.size() == 1 ? node.children[0] : Keep(std::move(node));
  }

  Result<const Node*> ParseSequence(int depth) {
    Node node{.kind = Kind::kSequence};
    while (!Done() && text_[at_] != '|' && text_[at_] != ')') {
      TESSERA_ASSIGN(const Node* atom, ParseAtom(depth));
      TESSERA_ASSIGN(atom, ParseRepeats(atom));
      node.children.push_back(atom);
    }
    return Keep(std::move(node));
  }

  Result<const Node*> ParseAtom(int depth) {
    if (Take("(")) return ParseGroup(depth);
    if (Take("[")) return ParseClass();
    if (Take("\\")) return ParseEscape();
    if (Take(".")) return KeepSet(~Characters().set('\n'));
    if (Take("^")) return Keep({.kind = Kind::kAssertion, .assertion = Pattern::Op::kBegin});
    if (Take("$")) return Keep({.kind = Kind::kAssertion, .assertion = Pattern::Op::kEnd});
    const char c = text_[at_++];
    if (c == '*' || c == '+' || c == '?') return Fail(Malformed("a repeat of nothing"));
    return KeepSet(Characters().set(static_cast<uint8_t>(c)));
  }

  Result<const Node*> ParseGroup(int depth) {
    Node around{.kind = Kind::kSequence};
    if (Take("?=") || Take("?!")) {
      // Each is a match of its own from every place: nested ones would multiply.
      if (in_lookahead_ || ++lookaheads_ > kMaxLookaheads) {
        return Fail(Unsupported("nested or too many lookaheads"));
      }
      in_lookahead_ = true;
      around.kind = Kind::kLookahead;
      around.negated = text_[at_ - 1] == '!';
    } else if (Take("?P<")) {
      const size_t end = text_.find('>', at_);
      if (end == std::string_view::npos) return Fail(Malformed("a group name without end"));
      at_ = end + 1;
    } else if (!Take("?:") && Take("?")) {
      return Fail(Unsupported("a group that begins with (?"));
    }
    TESSERA_ASSIGN(const Node* inner, ParseAlternatives(depth + 1));
    if (!Take(")")) return Fail(Malformed("a ( that nothing closes"));
    if (around.kind == Kind::kLookahead) in_lookahead_ = false;
    around.children.push_back(inner);
    return Keep(std::move(around));
  }

  Result<const Node*> ParseEscape() {
    if (Done()) return Fail(Malformed("a backslash at its end"));
    const char c = text_[at_++];
    if (const auto set = ClassOf(c)) return KeepSet(*set);
    if (c == 'b' || c == 'B') {
      return Keep(
          {.kind = Kind::kAssertion, .assertion = Pattern::Op::kWordEdge, .negated = c == 'B'});
    }
    if (c == 'A') return Keep({.kind = Kind::kAssertion, .assertion = Pattern::Op::kBegin});
    if (c == 'Z') return Keep({.kind = Kind::kAssertion, .assertion = Pattern::Op::kEnd});
    if (IsLetterOrDigit(c)) return Fail(Unsupported(std::string("the escape \\") + c));
    return KeepSet(Characters().set(static_cast<uint8_t>(c)));
  }

  // One end of a range, or a class such as \d, in which case `single` is false.
  Result<Characters> ParseClassItem(bool& single, unsigned char& character) {
    single = true;
    char c = text_[at_++];
    if (c == '\\') {
      if (Done()) return Fail(Malformed("a backslash at its end"));
      c = text_[at_++];
      if (const auto set = ClassOf(c)) {
        single = false;
        return *set;
      }
      if (IsLetterOrDigit(c)) return Fail(Unsupported(std::string("the escape \\") + c));
    }
    character = static_cast<unsigned char>(c);
    return Characters().set(character);
  }

  Result<const Node*> ParseClass() {
    const bool negated = Take("^");
    Characters set;
    for (bool first = true; first || Done() || text_[at_] != ']'; first = false) {
      if (Done()) return Fail(Malformed("a [ that nothing closes"));
      bool single = true;
      unsigned char low = 0, high = 0;
      TESSERA_ASSIGN(const Characters item, ParseClassItem(single, low));
      set |= item;
      const bool range =
          single && at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']';
      if (!range) continue;
      ++at_;
      TESSERA_TRY(ParseClassItem(single, high));
      if (!single || high < low) return Fail(Malformed("a range that is none"));
      AddRange(set, low, high);
    }
    ++at_;
    return KeepSet(negated ? ~set : set);
  }

  std::optional<uint32_t> TakeNumber() {
    uint32_t value = 0;
    const size_t begin = at_;
    while (!Done() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = std::min(value * 10 + static_cast<uint32_t>(text_[at_++] - '0'), kMaxRepeat + 1);
    }
    return at_ == begin ? std::nullopt : std::optional(value);
  }

  // {m}, {m,}, {,n}, {m,n}; anything else in braces is plain text, as in Python.
  bool TakeCounts(Node& repeat) {
    const size_t begin = at_++;
    const std::optional<uint32_t> min = TakeNumber();
    repeat.min = min.value_or(0);
    repeat.max = min;
    const bool comma = Take(",");
    if (comma) repeat.max = TakeNumber();
    if (Take("}") && (min || comma)) return true;
    at_ = begin;
    return false;
  }

  Result<const Node*> ParseRepeats(const Node* atom) {
    Node repeat{.kind = Kind::kRepeat, .children = {atom}};
    if (Take("*")) {
    } else if (Take("+")) {
      repeat.min = 1;
    } else if (Take("?")) {
      repeat.max = 1;
    } else if (Done() || text_[at_] != '{' || !TakeCounts(repeat)) {
      return atom;
    }
    if (repeat.min > kMaxRepeat || repeat.max.value_or(0) > kMaxRepeat) {
      return Fail(Unsupported("a count over " + std::to_string(kMaxRepeat)));
    }
    if (repeat.max && *repeat.max < repeat.min) return Fail(Malformed("a count below its minimum"));
    Take("?");  // Lazy or greedy: whether there is a match does not depend on it.
    if (!Done() && (text_[at_] == '*' || text_[at_] == '+' || text_[at_] == '?')) {
      return Fail(Malformed("a repeat of a repeat"));
    }
    return Keep(std::move(repeat));
  }

  uint32_t Emit(Pattern::Instruction instruction) {
    pattern_.program_.push_back(instruction);
    return static_cast<uint32_t>(pattern_.program_.size() - 1);
  }

  // Code for `node` that goes on at `next`; returns where it begins.
  Result<uint32_t> EmitNode(const Node& node, uint32_t next) {
    if (pattern_.program_.size() > kMaxInstructions) {
      return Fail(Unsupported("counts that make it too large"));
    }
    switch (node.kind) {
      case Kind::kSet:
        return Emit({.op = Pattern::Op::kSet, .next = next, .set = node.set});
      case Kind::kAssertion:
        return Emit({.op = node.assertion, .negated = node.negated, .next = next});
      case Kind::kLookahead: {
        const uint32_t match = Emit({.op = Pattern::Op::kMatch});
        TESSERA_ASSIGN(const uint32_t inner, EmitNode(*node.children[0], match));
        return Emit(
            {.op = Pattern::Op::kLookahead, .negated = node.negated, .next = next, .other = inner});
      }
      case Kind::kRepeat:
        return EmitRepeat(node, next);
      case Kind::kAlternatives:
      case Kind::kSequence:
        break;
    }
    uint32_t begin = next;
    for (size_t i = node.children.size(); i-- > 0;) {
      const bool first = i + 1 == node.children.size();
      const bool sequence = node.kind == Kind::kSequence;
      TESSERA_ASSIGN(const uint32_t child, EmitNode(*node.children[i], sequence ? begin : next));
      begin = sequence || first ? child
                                : Emit({.op = Pattern::Op::kSplit, .next = child, .other = begin});
    }
    return begin;
  }

  Result<uint32_t> EmitRepeat(const Node& node, uint32_t next) {
    uint32_t begin = next;
    if (!node.max) {
      const uint32_t loop = Emit({.op = Pattern::Op::kSplit, .other = next});
      TESSERA_ASSIGN(pattern_.program_[loop].next, EmitNode(*node.children[0], loop));
      begin = loop;
    } else {
      for (uint32_t i = node.min; i < *node.max; ++i) {
        TESSERA_ASSIGN(const uint32_t child, EmitNode(*node.children[0], begin));
        begin = Emit({.op = Pattern::Op::kSplit, .next = child, .other = next});
      }
    }
    for (uint32_t i = 0; i < node.min; ++i) {
      TESSERA_ASSIGN(begin, EmitNode(*node.children[0], begin));
    }
    return begin;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool in_lookahead_ = false;
  int lookaheads_ = 0;
  std::vector<std::unique_ptr<Node>> nodes_;
  Pattern pattern_;
};

Result<Pattern> Pattern::Compile(std::string_view text) { return PatternCompiler(text).Compile(); }

bool Pattern::MatchesStart(std::string_view name) const { return Run(start_, name, 0); }

bool Pattern::Holds(const Instruction& i, std::string_view name, size_t at) const {
  static const Characters kWord = WordCharacters();
  const auto is_word = [&](size_t k) {
    return k < name.size() && kWord.test(static_cast<uint8_t>(name[k]));
  };
  switch (i.op) {
    case Op::kBegin:
      return at == 0;
    case Op::kEnd:
      return at == name.size() || (at + 1 == name.size() && name[at] == '\n');
    case Op::kWordEdge:
      return ((at > 0 && is_word(at - 1)) != is_word(at)) != i.negated;
    case Op::kLookahead:
      return Run(i.other, name, at) != i.negated;
    default:
      return true;
  }
}

// Depth first; a state that was reached before has failed before.
bool Pattern::Run(uint32_t start, std::string_view name, size_t at) const {
  std::vector<bool> reached(program_.size() * (name.size() + 1));
  std::vector<std::pair<uint32_t, size_t>> open = {{start, at}};
  while (!open.empty()) {
    const auto [pc, position] = open.back();
    open.pop_back();
    const size_t state = pc * (name.size() + 1) + position;
    if (reached[state]) continue;
    reached[state] = true;
    const Instruction& i = program_[pc];
    if (i.op == Op::kMatch) return true;
    if (i.op == Op::kSplit) {
      open.emplace_back(i.other, position);
      open.emplace_back(i.next, position);
    } else if (i.op == Op::kSet) {
      if (position < name.size() && i.set.test(static_cast<uint8_t>(name[position]))) {
        open.emplace_back(i.next, position + 1);
      }
    } else if (Holds(i, name, position)) {
      open.emplace_back(i.next, position);
    }
  }
  return false;
}

}  // namespace tessera
