// The bytes of a golden file as values.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace tessera {

// `name` within tests/golden.
template <class T>
std::vector<T> GoldenFile(const std::string& name) {
  std::ifstream file(std::string(TESSERA_TEST_DIR) + "/golden/" + name, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  EXPECT_FALSE(bytes.empty()) << name;
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace tessera
