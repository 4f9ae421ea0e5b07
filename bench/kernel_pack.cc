// Codes to finished words and back, on one core: weights per second. A weight is a byte of FP8.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "quant/part_spans.h"
#include "quant/scheme_awq.h"
#include "quant/scheme_gptq.h"
#include "quant/scheme_int4_fp8.h"

namespace tessera {
namespace {

// A routed expert's gate_proj, or its down_proj.
struct Matrix {
  uint64_t rows, cols;
};

// `step` rows at a time, as they come from the quantizer.
void Run(benchmark::State& state, const IntScheme& scheme, Matrix m, uint64_t step, bool pack) {
  std::vector<std::vector<std::byte>> memory;
  for (size_t i = 0; i < scheme.Parts(m.rows, m.cols).size(); ++i) {
    memory.emplace_back(scheme.PartBytes(i, m.rows, m.cols, {0, m.rows}).size());
  }
  const std::vector<std::span<std::byte>> out(memory.begin(), memory.end());
  const std::vector<std::span<const std::byte>> in(memory.begin(), memory.end());
  const IntBuffer buffer(scheme.format(), step, m.cols);
  const RowRange whole{0, m.rows};
  ValueStats stats;
  for (auto _ : state) {
    for (uint64_t row = 0; row < m.rows; row += step) {
      const RowRange rows{row, row + step};
      if (pack) {
        scheme.WriteCodes(buffer.rows(), m.rows, m.cols, rows,
                          PartSpansWithin(scheme, std::span(out), m.rows, m.cols, whole, rows));
      } else {
        scheme.ReadCodes(PartSpansWithin(scheme, std::span(in), m.rows, m.cols, whole, rows),
                         m.rows, m.cols, rows, buffer.rows(), stats);
      }
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(m.rows * m.cols));
}

void Register(const std::string& name, std::shared_ptr<const IntScheme> scheme) {
  for (const Matrix m : {Matrix{2048, 7168}, {7168, 2048}}) {
    for (const uint64_t step : {8u, 128u}) {
      for (const bool pack : {true, false}) {
        const std::string label = (pack ? "Pack/" : "Unpack/") + name + "/" +
                                  std::to_string(m.rows) + "x" + std::to_string(m.cols) +
                                  "/rows:" + std::to_string(step);
        benchmark::RegisterBenchmark(
            label.c_str(), [=](benchmark::State& state) { Run(state, *scheme, m, step, pack); });
      }
    }
  }
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  tessera::Register("awq", tessera::MakeAwqScheme({}));
  tessera::Register("gptq4", tessera::MakeGptqScheme({}));
  tessera::Register("gptq8", tessera::MakeGptqScheme({.bits = 8}));
  tessera::Register("int4-fp8", tessera::MakeInt4Fp8Scheme({}));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
