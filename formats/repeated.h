// Finding names that occur twice in what a file lists.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera {

// Finds the item whose name repeats an earlier one's, the first such in order; returns both places.
// Sorted, not hashed into a table: chosen names cannot make it quadratic.
template <class NameOf>
std::optional<std::pair<size_t, size_t>> FindRepeated(size_t count, NameOf name_of) {
  struct Key {
    size_t hash, place;
  };
  std::vector<Key> keys(count);
  for (size_t i = 0; i < count; ++i) keys[i] = {std::hash<std::string_view>()(name_of(i)), i};
  std::ranges::sort(keys, [&](const Key& a, const Key& b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    const int order = name_of(a.place).compare(name_of(b.place));
    return order != 0 ? order < 0 : a.place < b.place;
  });
  std::optional<std::pair<size_t, size_t>> first;
  for (size_t i = 1; i < count; ++i) {
    const Key &a = keys[i - 1], &b = keys[i];
    if (a.hash != b.hash || name_of(a.place) != name_of(b.place)) continue;
    if (!first || b.place < first->second) first = {a.place, b.place};
  }
  return first;
}

}  // namespace tessera
