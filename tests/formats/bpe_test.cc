#include "formats/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>

#include "formats/added_tokens.h"
#include "formats/byte_spelling.h"

namespace tessera {
namespace {

using Ids = std::vector<uint32_t>;

std::string Byte(int byte) { return std::string(1, static_cast<char>(byte)); }

struct Random {
  Vocabulary vocabulary;
  std::vector<BpeMerge> merges;
};

// All bytes, and merges of random earlier pieces over a small alphabet.
Random RandomBpe(std::mt19937& draw) {
  std::vector<std::pair<std::string, uint32_t>> pieces;
  for (int byte = 0; byte < 256; ++byte) {
    pieces.emplace_back(SpellBytes(Byte(byte)), static_cast<uint32_t>(byte));
  }
  std::vector<uint32_t> usable = {'a', 'b', 'c'};
  std::vector<BpeMerge> merges;
  for (int i = 0; i < 60; ++i) {
    const uint32_t left = usable[draw() % usable.size()], right = usable[draw() % usable.size()];
    const std::string text = pieces[left].first + pieces[right].first;
    const auto known = std::ranges::find(pieces, text, &std::pair<std::string, uint32_t>::first);
    if (known != pieces.end()) continue;
    const auto id = static_cast<uint32_t>(pieces.size());
    pieces.emplace_back(text, id);
    usable.push_back(id);
    merges.push_back({left, right, id});
  }
  return {Vocabulary::Make(pieces).value(), merges};
}

// The definition: again and again the lowest rank, and of that the leftmost pair.
Ids Naive(const std::vector<BpeMerge>& merges, std::string_view word) {
  Ids ids;
  for (const char c : word) ids.push_back(static_cast<uint8_t>(c));
  while (true) {
    std::optional<size_t> best_merge, best_at;
    for (size_t at = 0; at + 1 < ids.size(); ++at) {
      for (size_t rank = 0; rank < best_merge.value_or(merges.size()); ++rank) {
        if (merges[rank].left == ids[at] && merges[rank].right == ids[at + 1]) {
          best_merge = rank;
          best_at = at;
        }
      }
    }
    if (!best_at) return ids;
    ids[*best_at] = merges[*best_merge].result;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(*best_at) + 1);
  }
}

TEST(Bpe, MergesTheLowestRankLeftmostFirst) {
  std::mt19937 draw(1);
  for (int round = 0; round < 40; ++round) {
    const Random random = RandomBpe(draw);
    const Bpe bpe = Bpe::FromMerges(random.vocabulary, random.merges).value();
    for (int i = 0; i < 50; ++i) {
      std::string word;
      for (size_t n = draw() % 40; n > 0; --n) word += "abc"[draw() % 3];
      Ids ids;
      bpe.Encode(word, ids);
      EXPECT_EQ(ids, Naive(random.merges, word)) << "round " << round << " " << word;
    }
  }
}

TEST(Bpe, OfRanksAnyNeighboursJoinWhoseTextIsAPiece) {
  std::vector<std::pair<std::string, uint32_t>> pieces;
  for (int byte = 0; byte < 256; ++byte) {
    pieces.emplace_back(SpellBytes(Byte(byte)), static_cast<uint32_t>(byte));
  }
  for (const char* text : {"bc", "ab", "abc", "abcd"}) {
    pieces.emplace_back(text, static_cast<uint32_t>(pieces.size()));
  }
  const Bpe bpe = Bpe::FromRanks(Vocabulary::Make(pieces).value()).value();
  Ids ids;
  bpe.Encode("abcd", ids);  // bc before ab, then a+bc, then abc+d
  EXPECT_EQ(ids, Ids({259}));
  ids.clear();
  bpe.Encode("abcd", ids, 259);
  EXPECT_EQ(ids, Ids({258, 'd'}));
}

TEST(ByteSpelling, EveryByteComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += Byte(byte);
  EXPECT_EQ(UnspellBytes(SpellBytes(all)), all);
  EXPECT_EQ(SpellBytes(" \n!"), "\u0120\u010A!");
  EXPECT_EQ(UnspellBytes("a b"), std::nullopt);
  EXPECT_EQ(UnspellBytes("\u0144"), std::nullopt);
}

TEST(AddedTokens, TheLeftmostAndOfThoseTheLongestIsFound) {
  const std::vector<AddedToken> tokens = {{.content = "ab", .id = 1},
                                          {.content = "abcd", .id = 2},
                                          {.content = "bcde", .id = 3},
                                          {.content = "<x>", .id = 4, .strip_left = true},
                                          {.content = "<y>", .id = 5, .strip_right = true}};
  const AddedTokenFinder finder = AddedTokenFinder::Make(tokens).value();
  const auto shown = [&](std::string_view text) {
    std::string all;
    for (const TextSegment& segment : finder.Split(text)) {
      all += segment.id ? "[" + std::to_string(*segment.id) + "]" : std::string(segment.text);
    }
    return all;
  };
  EXPECT_EQ(shown("xabcde"), "x[2]e");
  EXPECT_EQ(shown("abcbcde"), "[1]c[3]");
  EXPECT_EQ(shown("p \u3000<x> <y> \nq"), "p[4] [5]q");
  EXPECT_EQ(shown("<y>  <x>"), "[5][4]");
  EXPECT_EQ(shown(""), "");
}

}  // namespace
}  // namespace tessera
