#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "convert/engines/rules.h"

namespace tessera {
namespace {

constexpr uint64_t kPiece = uint64_t{8} << 20;

// A small tensor; nullopt, with a finding, when it cannot be read.
std::optional<std::vector<float>> ReadF32(Judgement& j, const TensorExtent& tensor) {
  if (tensor.info.dtype() != Dtype::kF32) return std::nullopt;
  std::vector<float> values(tensor.info.elements());
  const auto read = j.checkpoint.ReadBytes(tensor, 0, std::as_writable_bytes(std::span(values)));
  if (read) return values;
  j.Fatal("unreadable", tensor.info.name(), read.error().what(), "");
  return std::nullopt;
}

bool IsPowerOfTwo(float value) {
  int exponent = 0;
  return std::isfinite(value) && std::frexp(value, &exponent) == 0.5f;
}

float AsBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u);
}

std::optional<float> ReadOne(Judgement& j, const StoredModule* module) {
  const TensorExtent* scale = module == nullptr ? nullptr : module->Find("input_scale");
  if (scale == nullptr || scale->info.elements() != 1) return std::nullopt;
  const auto values = ReadF32(j, *scale);
  return values ? std::optional(values->front()) : std::nullopt;
}

// The scale of w1, say, under that name or as gate_proj.input_scale.
const StoredModule* WithInputScale(const Judgement& j, const std::string& expert,
                                   std::string_view demo, std::string_view hf) {
  for (const std::string_view leaf : {demo, hf}) {
    const StoredModule* module = j.stored.Find(expert + std::string(leaf));
    if (module != nullptr && module->Find("input_scale") != nullptr) return module;
  }
  return nullptr;
}

}  // namespace

void CheckUe8m0(Judgement& j) {
  if (j.claim.scale_fmt != "ue8m0") return;
  uint64_t tensors = 0, scales = 0;
  std::string first;
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* scale = module.Find("weight_scale_inv");
    if (scale == nullptr || module.storage != Storage::kFp8Block) continue;
    const auto values = ReadF32(j, *scale);
    if (!values) continue;
    const auto odd = static_cast<uint64_t>(
        std::ranges::count_if(*values, [](float value) { return !IsPowerOfTwo(value); }));
    if (odd == 0) continue;
    if (tensors++ == 0) first = scale->info.name();
    scales += odd;
  }
  if (tensors == 0) return;
  j.Warn("ue8m0-scales", first,
         "scale_fmt is ue8m0, but " + std::to_string(scales) + " scales in " +
             std::to_string(tensors) +
             " tensors are no powers of two: DeepGEMM requantizes such weights as it loads them, "
             "with a loss",
         "remove scale_fmt, or cast to BF16 and back: tessera cast --to fp8 --scale-format ue8m0");
}

void CheckInputScales(Judgement& j, bool required) {
  uint64_t missing = 0;
  for (uint32_t layer = 0; layer < j.spec.total_layers(); ++layer) {
    if (!j.spec.IsMoeLayer(layer)) continue;
    const std::string prefix = "model.layers." + std::to_string(layer) + ".mlp.experts.";
    for (uint32_t e = 0; e < j.spec.n_routed_experts; ++e) {
      const std::string expert = prefix + std::to_string(e) + ".";
      if (j.stored.StorageOf(expert + "gate_proj") != Storage::kInt4Bytes) continue;
      const StoredModule* w1 = WithInputScale(j, expert, "w1", "gate_proj");
      const auto gate = ReadOne(j, w1);
      const auto up = ReadOne(j, WithInputScale(j, expert, "w3", "up_proj"));
      if (!gate || !up) {
        ++missing;
        continue;
      }
      // The loader compares w3's with w1's after that became BF16.
      if (*gate != *up || std::fabs(AsBf16(*gate) - *up) > 1e-5f) {
        return j.Fatal("input-scales-differ", w1->Find("input_scale")->info.name(),
                       "the input scales of w1 and w3 are " + std::to_string(*gate) + " and " +
                           std::to_string(*up) +
                           (*gate == *up ? ", which BF16 does not hold: the loader compares the "
                                           "one rounded with the other as it is"
                                         : ": the loader refuses different ones"),
                       "store one BF16 value for both: tessera quantize --scheme w4afp8");
      }
    }
  }
  if (missing == 0) return;
  const std::string what = std::to_string(missing) + " experts have no input scales of w1 and w3";
  const std::string remedy = "quantize again with --calibration FILE or --input-scale X";
  if (required) {
    j.Fatal("input-scales-missing", "", what + ": the loader ends with a KeyError", remedy);
  } else {
    j.Warn("input-scales-missing", "", what + ": the loader takes 1, whatever activations are",
           remedy);
  }
}

void RequireBf16Scales(Judgement& j) {
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* scale = module.Find("weight_scale");
    if (module.storage != Storage::kPacked || scale == nullptr ||
        scale->info.dtype() == Dtype::kBF16) {
      continue;
    }
    return j.Fatal(
        "scale-dtype", scale->info.name(),
        "group scales are " + std::string(Name(scale->info.dtype())) + ", the loader reads BF16",
        "quantize again: tessera quantize --scheme w4a16 writes BF16, --scheme repack-ct from "
        "AWQ or GPTQ with --for this engine");
  }
}

void CheckNanCodes(Judgement& j) {
  if (!j.options.scan_codes) {
    return j.Note("nan-codes-unread",
                  "FP8 codes 0x7F and 0xFF, which are NaN here and numbers on MI300, were not "
                  "looked for",
                  "inspect --check reads every code");
  }
  std::vector<std::byte> piece;
  for (const TensorExtent& tensor : j.checkpoint.tensors()) {
    if (tensor.info.dtype() != Dtype::kF8E4M3) continue;
    uint64_t codes = 0;
    for (uint64_t at = 0; at < tensor.info.bytes(); at += piece.size()) {
      piece.resize(std::min(kPiece, tensor.info.bytes() - at));
      if (const auto read = j.checkpoint.ReadBytes(tensor, at, piece); !read) {
        return j.Fatal("unreadable", tensor.info.name(), read.error().what(), "");
      }
      codes += static_cast<uint64_t>(std::ranges::count_if(
          piece, [](std::byte code) { return (code & std::byte{0x7F}) == std::byte{0x7F}; }));
    }
    if (codes == 0) continue;
    j.Fatal("nan-codes", tensor.info.name(),
            std::to_string(codes) + " codes are NaN (0x7F or 0xFF); on MI300 they become numbers",
            "the weights are damaged: compare with the original");
  }
}

}  // namespace tessera
