// The block types of GGUF on one core, on rows of V3's width: values per second, and how many times
// those of ggml's own quantizers where --ggml=LIBRARY names a build of them (libggml-base.so). Time
// is the thread's own, so that a busy machine shows less.
#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "quant/ggml_rows.h"
#include "quant/kernels/target.h"

namespace tessera {
namespace {

constexpr size_t kRows = 8, kCols = 7168;

// quantize_q4_K and its like.
using GgmlQuantizer = size_t (*)(const float*, void*, int64_t, int64_t, const float*);

GgmlQuantizer FindQuantizer(void* ggml, Dtype type) {
  if (ggml == nullptr) return nullptr;
  std::string name = "quantize_";
  for (const char c : Info(type).name) {
    name += c == 'K' ? c : static_cast<char>(std::tolower(c));
  }
  return reinterpret_cast<GgmlQuantizer>(dlsym(ggml, name.c_str()));
}

double ThreadSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Repeated until it takes a few milliseconds.
template <class Op>
double SecondsOf(const Op& op) {
  for (int repeats = 1;; repeats *= 4) {
    const double begin = ThreadSeconds();
    for (int i = 0; i < repeats; ++i) op();
    const double seconds = ThreadSeconds() - begin;
    if (seconds > 2e-3) return seconds / repeats;
  }
}

struct Rows {
  Rows() : values(kRows * kCols), importance(kCols) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& x : values) x = 0.02f * normal(random);
    for (float& w : importance) w = std::exp(normal(random));
  }

  std::vector<float> values, importance;
};

struct Case {
  Dtype type;
  bool weighted;
  SimdTarget target;
  GgmlQuantizer ggml;
};

void Run(benchmark::State& state, const Case& c) {
  static const Rows rows;
  const ScopedTarget use(c.target);
  const float* importance = c.weighted ? rows.importance.data() : nullptr;
  const size_t row_bytes = GgmlRowBytes(c.type, kCols);
  std::vector<std::byte> out(kRows * row_bytes);
  double best = 1e9, best_ggml = 1e9, best_decode = 1e9;
  std::vector<float> decoded(kCols);
  // They take turns, and the best turn of each counts.
  for (auto _ : state) {
    best = std::min(best, SecondsOf([&] {
                      for (size_t row = 0; row < kRows; ++row) {
                        QuantizeGgmlRow(c.type, rows.values.data() + row * kCols, kCols, importance,
                                        out.data() + row * row_bytes);
                      }
                    }));
    best_decode =
        std::min(best_decode, SecondsOf([&] {
                   for (size_t row = 0; row < kRows; ++row) {
                     DequantizeGgmlRow(c.type, out.data() + row * row_bytes, kCols, decoded.data());
                   }
                 }));
    if (c.ggml == nullptr) continue;
    best_ggml = std::min(best_ggml, SecondsOf([&] {
                           c.ggml(rows.values.data(), out.data(), kRows, kCols, importance);
                         }));
  }
  constexpr double kValues = kRows * kCols;
  state.counters["values"] = kValues / best;
  state.counters["decoded"] = kValues / best_decode;
  if (c.ggml == nullptr) return;
  state.counters["ggml"] = kValues / best_ggml;
  state.counters["times_ggml"] = best_ggml / best;
}

void Register(void* ggml) {
  for (const SimdTarget target : SupportedTargets()) {
    for (const GgmlTypeInfo& info : AllGgmlTypes()) {
      for (const bool weighted : {false, true}) {
        if (weighted && !info.weighted) continue;
        const std::string name = std::string(Name(info.type)) +
                                 (weighted ? "/weighted/" : "/plain/") + std::string(target.name());
        const Case c{info.type, weighted, target, FindQuantizer(ggml, info.type)};
        benchmark::RegisterBenchmark(name.c_str(), Run, c)->Iterations(8);
      }
    }
  }
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  void* ggml = nullptr;
  if (argc > 1 && std::string(argv[1]).starts_with("--ggml=")) {
    ggml = dlopen(argv[1] + sizeof("--ggml=") - 1, RTLD_NOW);
    if (ggml == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
  }
  tessera::Register(ggml);
  benchmark::RunSpecifiedBenchmarks();
}
