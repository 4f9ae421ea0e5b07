#include "cli/arithmetic_options.h"

#include <map>

namespace tessera::cli {

CLI::Option& AddDtype(CLI::App& verb, Arithmetic& arithmetic) {
  static const std::map<std::string, Arithmetic> kNames = {
      {"f32", Arithmetic::kF32}, {"bf16", Arithmetic::kBf16}, {"fp8", Arithmetic::kFp8}};
  return *verb.add_option_function<std::string>(
                  "--dtype",
                  [&arithmetic](const std::string& name) { arithmetic = kNames.at(name); },
                  "f32, bf16, or fp8: quantized activations too")
              ->check(CLI::IsMember({"f32", "bf16", "fp8"}))
              ->default_str("f32");
}

CLI::Option& AddWeights(CLI::App& verb, const std::string& help,
                        std::optional<WeightValues>& weights) {
  return *verb.add_option_function<std::string>(
                  "--weights",
                  [&weights](const std::string& name) {
                    weights = name == "bf16" ? WeightValues::kBf16 : WeightValues::kStored;
                  },
                  help)
              ->check(CLI::IsMember({"stored", "bf16"}));
}

}  // namespace tessera::cli
