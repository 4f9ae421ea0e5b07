#include <memory>

#include "cli/commands.h"
#include "cli/conversion.h"

namespace tessera::cli {
namespace {

struct CastOptions : ConversionOptions {
  std::string to, scale_format, scales_from;
};

Result<CastTo> ParseTo(const std::string& text) {
  for (const CastTo to : {CastTo::kBf16, CastTo::kF16, CastTo::kF32, CastTo::kFp8}) {
    if (Name(to) == text) return to;
  }
  return Fail(
      Error(ErrorCode::kUsage, "--to: unknown type " + text).Expected("bf16, f16, f32 or fp8"));
}

Result<Outcome> RunCast(const CastOptions& typed, Terminal& terminal) {
  CastOptions options = typed;
  Request& request = options.request;
  TESSERA_ASSIGN(request.to, ParseTo(options.to));
  const bool fp8 = request.to == CastTo::kFp8;
  if (!options.scale_format.empty()) {
    if (!fp8) return Fail(ErrorCode::kUsage, "--scale-format goes with --to fp8");
    if (options.scale_format != "f32" && options.scale_format != "ue8m0") {
      return Fail(Error(ErrorCode::kUsage, "--scale-format: unknown format " + options.scale_format)
                      .Expected("f32 or ue8m0"));
    }
    if (options.scale_format == "ue8m0") request.scale_format = ScaleFormat::kUe8m0;
  }
  if (!options.scales_from.empty()) {
    if (!fp8) return Fail(ErrorCode::kUsage, "--scales-from goes with --to fp8");
    if (!options.scale_format.empty()) {
      return Fail(ErrorCode::kUsage,
                  "--scales-from brings its own scales: leave out --scale-format");
    }
    request.scales_from = options.scales_from;
  }
  if (request.saturate && request.to != CastTo::kF16) {
    return Fail(ErrorCode::kUsage, "--saturate goes with --to f16");
  }
  return RunConversion(options, terminal);
}

}  // namespace

void AddCast(CLI::App& app, Session& session) {
  CLI::App& verb = AddVerb(
      app, session, "cast", "FP8 to BF16, F16 or F32, and back",
      "Block FP8 is dequantized as DeepSeek's kernel does it: the product in F32, then rounded to\n"
      "nearest even. BF16 and F16 tensors are cast too; F32 tensors stay as they are. With --to "
      "fp8\n"
      "the linears that DeepSeek quantizes are stored in 128x128 blocks; --scales-from gives back "
      "the\n"
      "codes of the checkpoint that IN was cast from. A run that was stopped is finished by the "
      "same\n"
      "command.");
  auto options = std::make_shared<CastOptions>();
  options->verb = "cast";
  AddConversionOptions(verb, session, *options);
  verb.add_option("--to", options->to, "bf16, f16, f32 or fp8")->required();
  verb.add_option("--scale-format", options->scale_format, "With fp8: f32 (default) or ue8m0");
  verb.add_option("--scales-from", options->scales_from,
                  "With fp8: take the scales of this checkpoint");
  verb.add_flag("--saturate", options->request.saturate, "With f16: clip what would overflow");
  SetAction(verb, session, std::move(options), RunCast);
}

}  // namespace tessera::cli
