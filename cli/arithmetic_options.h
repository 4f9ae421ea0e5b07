// How a verb that runs a model computes: --dtype and --weights.
#pragma once

#include <optional>

#include "cli/session.h"
#include "verify/arithmetic.h"
#include "verify/model_weights.h"

namespace tessera::cli {

CLI::Option& AddDtype(CLI::App& verb, Arithmetic& arithmetic);
// Left alone where the option is not given. `help` says what that means.
CLI::Option& AddWeights(CLI::App& verb, const std::string& help,
                        std::optional<WeightValues>& weights);

}  // namespace tessera::cli
