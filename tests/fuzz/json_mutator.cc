#include "tests/fuzz/json_mutator.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <random>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace tessera {
namespace {

constexpr int kMaxDepth = 200;

struct Place {
  size_t begin, end;
};

// Where a document's parts stand; of a malformed one those that can be told.
class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) { Value(0); }

  std::vector<Place> values, keys;
  std::vector<Place> items;  // members with their keys, elements

 private:
  bool Peek(char c) const { return at_ < text_.size() && text_[at_] == c; }
  void SkipSpace() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  void Value(int depth) {
    SkipSpace();
    const size_t begin = at_;
    if (depth < kMaxDepth && (Peek('{') || Peek('['))) {
      List(depth);
    } else if (Peek('"')) {
      String();
    } else {
      at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
    }
    if (at_ > begin) values.push_back({begin, at_});
  }

  void String() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) at_ += text_[at_] == '\\';
    at_ = std::min(at_ + 1, text_.size());
  }

  void List(int depth) {
    const bool object = Peek('{');
    const char close = object ? '}' : ']';
    for (++at_; at_ < text_.size();) {
      SkipSpace();
      if (Peek(close)) return void(++at_);
      const size_t begin = at_;
      if (object && Peek('"')) {
        String();
        keys.push_back({begin, at_});
        SkipSpace();
        at_ += Peek(':');
      }
      Value(depth + 1);
      if (at_ > begin) items.push_back({begin, at_});
      SkipSpace();
      // Whatever else stands where a comma should is passed over.
      if (!Peek(close) && at_ < text_.size()) ++at_;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

constexpr std::string_view kScalars[] = {
    "0",
    "1",
    "-1",
    "2",
    "127",
    "128",
    "255",
    "65536",
    "2147483647",
    "4294967295",
    "4294967296",
    "281474976710656",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "1e999",
    "-0.0",
    "0.5",
    "1e-400",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"..\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[[]]",
    "{\"a\":0}",
};

class Mutation {
 public:
  Mutation(std::string_view document, uint32_t seed)
      : text_(document), scan_(document), random_(seed) {}

  std::string Run() {
    if (scan_.values.empty() || Below(8) == 0) return MutateBytes(text_, text_.size() + 64);
    switch (Below(8)) {
      case 0:
        return Replace(Any(scan_.values), std::string(kScalars[Below(std::size(kScalars))]));
      case 1:
        return Replace(Any(scan_.values), Text(Any(scan_.values)));
      case 2:
        return scan_.keys.empty() ? Nudge() : Replace(Any(scan_.keys), Text(Any(scan_.keys)));
      case 3:
        return Remove();
      case 4:
        return Repeat();
      case 5:
        return Wrap();
      case 6:
        return MutateText();
      default:
        return Nudge();
    }
  }

  std::string Cross(std::string_view other) {
    const Scan theirs(other);
    if (scan_.values.empty() || theirs.values.empty()) return text_;
    const Place from = theirs.values[Below(theirs.values.size())];
    return Replace(Any(scan_.values), std::string(other.substr(from.begin, from.end - from.begin)));
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }
  Place Any(const std::vector<Place>& places) { return places[Below(places.size())]; }
  std::string Text(Place place) const { return text_.substr(place.begin, place.end - place.begin); }
  std::string Replace(Place place, const std::string& by) const {
    return text_.substr(0, place.begin) + by + text_.substr(place.end);
  }

  std::string Remove() {
    if (scan_.items.empty()) return Nudge();
    Place item = Any(scan_.items);
    if (item.end < text_.size() && text_[item.end] == ',') {
      ++item.end;
    } else if (item.begin > 0 && text_[item.begin - 1] == ',') {
      --item.begin;
    }
    return Replace(item, "");
  }

  std::string Repeat() {
    if (scan_.items.empty()) return Nudge();
    const Place item = Any(scan_.items);
    std::string many = Text(item);
    for (size_t i = Below(4) == 0 ? 1 + Below(40) : 1; i > 0; --i) many += "," + Text(item);
    return Replace(item, many);
  }

  std::string Wrap() {
    const Place value = Any(scan_.values);
    const size_t levels = Below(4) == 0 ? 1 + Below(100) : 1;
    const bool list = Below(2) == 0;
    std::string before, behind;
    for (size_t i = 0; i < levels; ++i) {
      before += list ? "[" : "{\"a\":";
      behind += list ? "]" : "}";
    }
    return Replace(value, before + Text(value) + behind);
  }

  // A number a little or a lot larger or smaller.
  std::string Nudge() {
    std::vector<Place> numbers;
    std::ranges::copy_if(scan_.values, std::back_inserter(numbers), [&](Place place) {
      return text_[place.begin] >= '0' && text_[place.begin] <= '9';
    });
    if (numbers.empty()) return Replace(Any(scan_.values), "1");
    const Place place = Any(numbers);
    uint64_t value = 0;
    std::from_chars(text_.data() + place.begin, text_.data() + place.end, value);
    const uint64_t changed[] = {value + 1,  value - 1, value * 2,
                                value / 2,  value * 8, value ^ 1ull << Below(64),
                                value + 128};
    return Replace(place, std::to_string(changed[Below(std::size(changed))]));
  }

  // What stands between the quotes of a string, key or value.
  std::string MutateText() {
    std::vector<Place> strings = scan_.keys;
    std::ranges::copy_if(scan_.values, std::back_inserter(strings),
                         [&](Place place) { return text_[place.begin] == '"'; });
    if (strings.empty()) return Nudge();
    Place place = Any(strings);
    place = {place.begin + 1, std::max(place.begin + 1, place.end - 1)};
    return Replace(place, MutateBytes(Text(place), place.end - place.begin + 16));
  }

  const std::string text_;
  const Scan scan_;
  std::minstd_rand random_;
};

}  // namespace

std::string MutateJson(std::string_view document, uint32_t seed) {
  return Mutation(document, seed).Run();
}

std::string CrossJson(std::string_view a, std::string_view b, uint32_t seed) {
  return Mutation(a, seed).Cross(b);
}

std::string MutateBytes(std::string_view bytes, size_t max_size) {
  std::string out(bytes);
  out.resize(std::max(max_size, bytes.size()));
  out.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(out.data()), bytes.size(), out.size()));
  return out;
}

size_t Deliver(std::string_view bytes, uint8_t* data, size_t size, size_t max_size) {
  if (bytes.empty() || bytes.size() > max_size) return size;
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

}  // namespace tessera
