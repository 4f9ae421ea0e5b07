// Against the bytes that ggml's own quantizers write, and the values that its decoders and those of
// the gguf package read; tests/golden/README.md says how they were asked.
#include <gtest/gtest.h>

#include <string>

#include "formats/hash.h"
#include "formats/json.h"
#include "quant/ggml_rows.h"
#include "quant/kernels/target.h"
#include "tests/quant/ggml_values.h"

namespace tessera {
namespace {

using Bytes = std::vector<std::byte>;

const Json& Golden() {
  static const Json golden =
      ReadJsonFile(std::string(TESSERA_TEST_DIR) + "/golden/ggml.json").value();
  return golden;
}

size_t Rows() { return Golden().at("rows").get<size_t>(); }
size_t Cols() { return Golden().at("cols").get<size_t>(); }

template <class T>
std::string Sha256(const std::vector<T>& values) {
  Sha256Stream stream;
  stream.Update(std::as_bytes(std::span(values)));
  return stream.FinishHex();
}

const std::vector<float>& Values(size_t kind) {
  static const auto all = [] {
    std::vector<std::vector<float>> values;
    for (size_t k = 0; k < kGgmlKinds.size(); ++k) values.push_back(GgmlValues(k, Rows() * Cols()));
    return values;
  }();
  return all[kind];
}

Bytes Quantized(Dtype type, size_t kind, bool weighted, const GgmlMath& math) {
  const std::vector<float>& values = Values(kind);
  const std::vector<float> weights = GgmlImportances(kind, Cols());
  const size_t row_bytes = GgmlRowBytes(type, Cols());
  Bytes out(Rows() * row_bytes);
  for (size_t row = 0; row < Rows(); ++row) {
    QuantizeGgmlRow(type,
                    {values.data() + row * Cols(), Cols(), weighted ? weights.data() : nullptr},
                    math, out.data() + row * row_bytes);
  }
  return out;
}

// MXFP4 of subnormal numbers is undefined in ggml.
bool IsGolden(Dtype type, size_t kind) {
  return type != Dtype::kMxfp4 || kGgmlKinds[kind] != "subnormal";
}

void ExpectGolden(const GgmlMath& math) {
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    const Json& golden = Golden().at("types").at(std::string(Name(info.type)));
    for (const bool weighted : {false, true}) {
      if (weighted && !info.weighted) continue;
      size_t at = 0;
      for (size_t kind = 0; kind < kGgmlKinds.size(); ++kind) {
        if (!IsGolden(info.type, kind)) continue;
        const Bytes got = Quantized(info.type, kind, weighted, math);
        if (kind == 0) {
          EXPECT_EQ(ToHex(std::span(got).first(Info(info.type).block_bytes())),
                    golden.at(weighted ? "first weighted" : "first plain").get<std::string>())
              << Name(info.type);
        }
        EXPECT_EQ(Sha256(got),
                  golden.at(weighted ? "weighted" : "plain").at(at++).get<std::string>())
            << Name(info.type) << (weighted ? " weighted, " : ", ") << kGgmlKinds[kind];
      }
    }
  }
}

TEST(GgmlGolden, InputsAreThoseOfTheGolden) {
  for (size_t kind = 0; kind < kGgmlKinds.size(); ++kind) {
    const Json& want = Golden().at("inputs").at(std::string(kGgmlKinds[kind]));
    EXPECT_EQ(Sha256(Values(kind)), want.at(0).get<std::string>()) << kGgmlKinds[kind];
    EXPECT_EQ(Sha256(GgmlImportances(kind, Cols())), want.at(1).get<std::string>())
        << kGgmlKinds[kind];
  }
}

TEST(GgmlGolden, ReferenceWritesGgmlsBytes) { ExpectGolden(kGgmlReferenceMath); }

TEST(GgmlGolden, EveryTargetWritesGgmlsBytes) {
  for (const SimdTarget target : SupportedTargets()) {
    SCOPED_TRACE(target.name());
    const ScopedTarget use(target);
    ExpectGolden(kGgmlKernelMath);
  }
}

TEST(GgmlGolden, DecodedValuesAreGgmls) {
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    const Json& golden = Golden().at("types").at(std::string(Name(info.type))).at("decoded");
    size_t at = 0;
    for (size_t kind = 0; kind < kGgmlKinds.size(); ++kind) {
      if (!IsGolden(info.type, kind)) continue;
      const Bytes data = Quantized(info.type, kind, false, kGgmlKernelMath);
      std::vector<float> values(Rows() * Cols());
      DequantizeGgmlRow(info.type, data.data(), values.size(), values.data());
      EXPECT_EQ(Sha256(values), golden.at(at++).get<std::string>())
          << Name(info.type) << ", " << kGgmlKinds[kind];
    }
  }
}

}  // namespace
}  // namespace tessera
