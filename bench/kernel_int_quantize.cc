// Block FP8 in, finished integers and scales out, on one core: weights (bytes of input) per second,
// and the ratio of signal to noise in dB, on weights of several distributions.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "quant/kernels/target.h"
#include "quant/scheme_int.h"

namespace tessera {
namespace {

constexpr uint64_t kRows = 512, kCols = 7168;

struct Distribution {
  const char* name;
  std::function<float(std::mt19937_64&)> draw;
};

const std::vector<Distribution>& Distributions() {
  using Random = std::mt19937_64;
  static const std::vector<Distribution> all = {
      {"normal", [d = std::normal_distribution<float>()](Random& r) mutable { return d(r); }},
      {"laplace", [d = std::exponential_distribution<float>()](
                      Random& r) mutable { return r() % 2 == 0 ? d(r) : -d(r); }},
      {"student5", [d = std::student_t_distribution<float>(5)](Random& r) mutable { return d(r); }},
      {"student3",
       [d = std::student_t_distribution<float>(3)](Random& r) mutable { return d(r); }}};
  return all;
}

// Weights in block FP8.
struct Source {
  explicit Source(const Distribution& distribution)
      : codes(kRows * kCols), scales(kRows / 128 * (kCols / 128) * sizeof(float)) {
    std::mt19937_64 random(1);
    std::vector<float> rows(kRows * kCols);
    for (float& x : rows) x = 0.02f * distribution.draw(random);
    ValueStats stats;
    scheme->EncodeRows(rows.data(), kRows, kCols, {0, kRows},
                       std::vector<std::span<std::byte>>{codes, scales}, stats);
  }

  std::unique_ptr<Scheme> scheme = MakeFp8BlockScheme({});
  std::vector<std::byte> codes, scales;
};

double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// CPU time, and the best turn counts, so that a busy machine matters less.
void Run(benchmark::State& state, SimdTarget target, const Distribution& distribution,
         const Scheme& to) {
  const Source source(distribution);
  const ScopedTarget use(target);
  std::vector<std::vector<std::byte>> out;
  for (size_t i = 0; i < to.Parts(kRows, kCols).size(); ++i) {
    out.emplace_back(to.PartBytes(i, kRows, kCols, {0, kRows}).size());
  }
  const std::vector<std::span<const std::byte>> in = {source.codes, source.scales};
  const std::vector<std::span<std::byte>> parts(out.begin(), out.end());
  double best = 1e9;
  ValueStats stats;
  for (auto _ : state) {
    const double begin = CpuSeconds();
    stats = {};
    Transcode(*source.scheme, in, to, parts, kRows, kCols, {0, kRows}, stats);
    benchmark::DoNotOptimize(stats);
    best = std::min(best, CpuSeconds() - begin);
  }
  state.counters["weights"] = static_cast<double>(kRows * kCols) / best;
  state.counters["dB"] = 10 * std::log10(stats.quality.signal / stats.quality.noise);
}

struct Named {
  std::string name;
  std::unique_ptr<IntScheme> scheme;
};

const std::vector<Named>& Schemes() {
  static const std::vector<Named> schemes = [] {
    std::vector<Named> all;
    for (const auto& [name, search] : {std::pair{"absmax", Search::kAbsMax},
                                       {"mse", Search::kMse},
                                       {"mse-signed", Search::kMseSigned}}) {
      const auto add = [&](const char* scheme, std::unique_ptr<IntScheme> made) {
        all.push_back({std::string(scheme) + "/" + name, std::move(made)});
      };
      add("w4a16", MakeCtPackedScheme({.search = search}));
      add("w4a16-asym", MakeCtPackedScheme({.symmetric = false, .search = search}));
      add("w8a16-g128", MakeCtPackedScheme({.bits = 8, .search = search}));
      add("w8a8", MakeCtInt8Scheme(search));
      add("int8-channel", MakeInt8ChannelScheme(search));
      add("int8-block", MakeInt8BlockScheme(search));
    }
    return all;
  }();
  return schemes;
}

// Speed does not depend on the values: the best target alone does the other distributions.
void Register() {
  const std::vector<SimdTarget> targets = SupportedTargets();
  for (const Distribution& distribution : Distributions()) {
    const bool first = &distribution == &Distributions().front();
    for (size_t i = 0; i < (first ? targets.size() : 1); ++i) {
      for (const Named& scheme : Schemes()) {
        const std::string name =
            scheme.name + "/" + distribution.name + "/" + std::string(targets[i].name());
        benchmark::RegisterBenchmark(name.c_str(), [=, &scheme](benchmark::State& state) {
          Run(state, targets[i], distribution, *scheme.scheme);
        });
      }
    }
  }
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  tessera::Register();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
