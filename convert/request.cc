#include "convert/request.h"

#include "formats/interruption.h"

namespace tessera {

std::string_view Name(CastTo to) {
  switch (to) {
    case CastTo::kStored:
      return "stored";
    case CastTo::kBf16:
      return "bf16";
    case CastTo::kF16:
      return "f16";
    case CastTo::kF32:
      return "f32";
    case CastTo::kFp8:
      return "fp8";
  }
  return "stored";
}

std::string_view Name(MtpMode mode) {
  switch (mode) {
    case MtpMode::kKeep:
      return "keep";
    case MtpMode::kDrop:
      return "drop";
    case MtpMode::kOnly:
      return "only";
  }
  return "keep";
}

std::string_view Name(Reach reach) {
  switch (reach) {
    case Reach::kByScheme:
      return "scheme";
    case Reach::kExpertsOnly:
      return "experts";
    case Reach::kAllLinears:
      return "linears";
  }
  return "scheme";
}

std::string_view Name(ModuleFor engine) {
  switch (engine) {
    case ModuleFor::kAny:
      return "any";
    case ModuleFor::kSglang:
      return "sglang";
    case ModuleFor::kVllm:
      return "vllm";
    case ModuleFor::kDeepSeek:
      return "deepseek";
  }
  return "any";
}

std::vector<std::filesystem::path> Request::Outputs() const {
  std::vector<std::filesystem::path> outputs = {out};
  if (gguf) outputs = {out.has_parent_path() ? out.parent_path() : "."};
  if (split) outputs.push_back(*split);
  return outputs;
}

Result<void> RunOptions::CheckStop() const {
  if (!Stopped()) return {};
  return Fail(InterruptedBy(*signal).Next(
      rehearse ? "nothing was written"
               : "what is done is kept: run the same command again to finish"));
}

}  // namespace tessera
