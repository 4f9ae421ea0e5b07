// Against the bytes that AutoAWQ, GPTQModel and compressed-tensors make of the same integers;
// tests/golden/README.md says how they were asked.
#include <gtest/gtest.h>

#include <string>

#include "formats/json.h"
#include "quant/scheme_awq.h"
#include "quant/scheme_gptq.h"
#include "tests/quant/int_values.h"

namespace tessera {
namespace {

const Json& Golden(const std::string& name) {
  static const Json golden =
      ReadJsonFile(std::string(TESSERA_TEST_DIR) + "/golden/int_formats.json").value();
  return golden.at(name);
}

Bytes FromHex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

template <class T>
void Copy(const Json& hex, std::vector<T>& values) {
  const Bytes bytes = FromHex(hex.get<std::string>());
  ASSERT_EQ(bytes.size(), values.size() * sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
}

IntValues ValuesOf(const Json& golden, const IntFormat& format) {
  IntValues values(format, golden.at("rows").get<uint64_t>(), golden.at("cols").get<uint64_t>());
  Copy(golden.at("codes"), values.codes);
  Copy(golden.at("scales_f32"), values.scales);
  Copy(golden.at("zeros"), values.zeros);
  return values;
}

// Part i of the scheme is `names[i]` of the golden.
std::vector<Bytes> PartsOf(const Json& golden, const std::vector<std::string>& names) {
  std::vector<Bytes> parts;
  for (const std::string& name : names) parts.push_back(FromHex(golden.at(name)));
  return parts;
}

void ExpectReads(const IntScheme& scheme, const std::string& name,
                 const std::vector<std::string>& names) {
  SCOPED_TRACE(name);
  const Json& golden = Golden(name);
  const IntValues values = ValuesOf(golden, scheme.format());
  auto parts = PartsOf(golden, names);
  ValueStats stats;
  EXPECT_EQ(Unpacked(scheme, parts, values.rows, values.cols, stats), values);
  EXPECT_EQ(stats.wrong_constants, 0u);
}

void ExpectReadsAndWrites(const IntScheme& scheme, const std::string& name,
                          const std::vector<std::string>& names) {
  ExpectReads(scheme, name, names);
  IntValues values = ValuesOf(Golden(name), scheme.format());
  EXPECT_EQ(Packed(scheme, values), PartsOf(Golden(name), names)) << name;
}

TEST(IntFormatsGolden, AwqIsAutoAwqs) {
  const auto scheme = MakeAwqScheme({.group = 32});
  for (const char* name : {"awq", "awq symmetric"}) {
    ExpectReadsAndWrites(*scheme, name, {"qweight", "qzeros", "scales"});
  }
}

TEST(IntFormatsGolden, GptqIsGptqModels) {
  for (const int bits : {4, 8}) {
    const std::string name = "gptq" + std::to_string(bits);
    GptqArgs args{.bits = bits, .group = 32};
    ExpectReadsAndWrites(*MakeGptqScheme(args), name, {"qweight", "qzeros", "scales", "g_idx"});
    args.zeros = GptqZeros::kPlain;
    ExpectReads(*MakeGptqScheme(args), name, {"qweight", "qzeros_v2", "scales", "g_idx"});
  }
}

TEST(IntFormatsGolden, AsymmetricGptqIsReadAsGptqModelMeansIt) {
  for (const auto& [zeros, part] :
       {std::pair{GptqZeros::kMinusOne, "qzeros"}, {GptqZeros::kPlain, "qzeros_v2"}}) {
    const auto scheme = MakeGptqScheme({.group = 32, .symmetric = false, .zeros = zeros});
    ExpectReads(*scheme, "gptq4 asymmetric", {"qweight", part, "scales", "g_idx"});
  }
}

}  // namespace
}  // namespace tessera
