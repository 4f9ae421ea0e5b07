#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <type_traits>

#include "convert/engines/rules.h"

namespace tessera {
namespace {

// op(first element, values) of all pieces of a tensor; false if it is of another type or, with a
// finding, cannot be read.
template <class T, class Op>
bool ForEachValue(Judgement& j, const TensorExtent& tensor, Dtype dtype, const Op& op) {
  if (tensor.info.dtype() != dtype) return false;
  std::vector<T> values;
  return ForEachPiece(j, tensor, [&](uint64_t at, std::span<const std::byte> bytes) {
    values.resize(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    op(at / sizeof(T), std::span<const T>(values));
  });
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
  std::optional<float> one;
  ForEachValue<float>(j, *scale, Dtype::kF32,
                      [&](uint64_t, std::span<const float> values) { one = values.front(); });
  return one;
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

// Columns a group of a GPTQ weight: as config.json says where its scales agree, else as they say,
// since groups may be other ones for some modules. 0: cannot be told.
uint64_t GroupOf(const Judgement& j, const StoredModule& module, uint64_t columns) {
  const TensorExtent* scales = module.Find("scales");
  if (scales == nullptr || scales->info.shape().size() != 2) return 0;
  const uint64_t groups = scales->info.shape()[0];
  const int64_t size = j.claim.group_size.value_or(-1);
  const uint64_t said = size > 0 ? static_cast<uint64_t>(size) : std::max<uint64_t>(columns, 1);
  if (columns / said == groups || (columns + said - 1) / said == groups) return said;
  return groups == 0 ? 0 : (columns + groups - 1) / groups;
}

// Whether a GPTQ weight has 8 bits, likewise: of the words that hold N zero points.
bool HasEightBits(const StoredModule& module, const TensorExtent& zeros) {
  const Shape& words = zeros.info.shape();
  const TensorExtent* codes = module.Find("qweight");
  if (codes == nullptr || codes->info.shape().size() != 2 || words.size() != 2) return false;
  return words[1] == (codes->info.shape()[1] + 3) / 4;
}

// The word in which every zero point is the middle, as stored by version 1 (less one) or 2.
uint32_t MiddleZeros(bool eight_bits, bool version_2) {
  return eight_bits ? (version_2 ? 0x80808080u : 0x7F7F7F7Fu)
                    : (version_2 ? 0x88888888u : 0x77777777u);
}

struct OddScales {
  uint64_t not_finite = 0, negative = 0;
};

// None of a type that has neither.
void Count(std::span<const std::byte> bytes, Dtype dtype, OddScales& odd) {
  const auto count = [&]<class T>(T exponent) {
    for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
      T bits;
      std::memcpy(&bits, &bytes[at], sizeof(T));
      if ((bits & exponent) == exponent) {
        ++odd.not_finite;
      } else if (static_cast<std::make_signed_t<T>>(bits) < 0) {
        ++odd.negative;
      }
    }
  };
  switch (dtype) {
    case Dtype::kF32:
      return count(uint32_t{0x7F800000});
    case Dtype::kBF16:
      return count(uint16_t{0x7F80});
    case Dtype::kF16:
      return count(uint16_t{0x7C00});
    default:
      return;
  }
}

}  // namespace

bool ForEachPiece(Judgement& j, const TensorExtent& tensor,
                  const std::function<void(uint64_t, std::span<const std::byte>)>& op) {
  constexpr uint64_t kPiece = uint64_t{8} << 20;
  std::vector<std::byte> piece;
  for (uint64_t at = 0; at < tensor.info.bytes(); at += piece.size()) {
    piece.resize(std::min(kPiece, tensor.info.bytes() - at));
    if (const auto read = j.checkpoint.ReadBytes(tensor, at, piece); !read) {
      j.Fatal("unreadable", tensor.info.name(), read.error().what(), "");
      return false;
    }
    op(at, piece);
  }
  return true;
}

void CheckColumnOrder(Judgement& j) {
  uint64_t modules = 0;
  std::string first;
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* index = module.Find("g_idx");
    if (module.storage != Storage::kGptq || index == nullptr) continue;
    const uint64_t group = GroupOf(j, module, index->info.elements());
    bool elsewhere = false;
    ForEachValue<uint32_t>(j, *index, Dtype::kI32,
                           [&](uint64_t at, std::span<const uint32_t> groups) {
                             for (uint64_t i = 0; i < groups.size() && group != 0; ++i) {
                               elsewhere |= groups[i] != (at + i) / group;
                             }
                           });
    if (!elsewhere) continue;
    if (modules++ == 0) first = index->info.name();
  }
  if (modules == 0) return;
  j.Fatal("act-order", first,
          "the g_idx of " + std::to_string(modules) +
              " weights puts columns into other groups than their own; kernels that go by "
              "desc_act false do not look at it and give columns the scales of others",
          "quantize again without activation order: tessera quantize --scheme gptq4 of the "
          "original");
}

void CheckMiddleZeros(Judgement& j) {
  const bool second = j.claim.checkpoint_format == "gptq_v2";
  uint64_t modules = 0, of_the_other = 0;
  std::string first;
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* zeros = module.Find("qzeros");
    if (module.storage != Storage::kGptq || zeros == nullptr) continue;
    const bool eight = HasEightBits(module, *zeros);
    bool as_said = true, as_the_other = true;
    ForEachValue<uint32_t>(j, *zeros, Dtype::kI32, [&](uint64_t, std::span<const uint32_t> words) {
      const auto all = [&](uint32_t middle) {
        return std::ranges::all_of(words, [&](uint32_t word) { return word == middle; });
      };
      as_said = as_said && all(MiddleZeros(eight, second));
      as_the_other = as_the_other && all(MiddleZeros(eight, !second));
    });
    if (as_said) continue;
    if (modules++ == 0) first = zeros->info.name();
    if (as_the_other) ++of_the_other;
  }
  if (modules == 0) return;
  if (modules == of_the_other) {
    return j.Warn(
        "gptq-zeros", first,
        "zero points of " + std::to_string(modules) + " weights are the middle as gptq" +
            (second ? "" : "_v2") + " stores it, and config.json says gptq" +
            (second ? "_v2" : "") + ": kernels that read them are off by one",
        std::string("write \"checkpoint_format\": \"gptq") + (second ? "" : "_v2") + "\"");
  }
  j.Fatal("gptq-zeros", first,
          "zero points of " + std::to_string(modules) +
              " weights are not the middle, though sym is true: engines take 8 or 128 for all",
          "quantize again: tessera quantize --scheme gptq4, or awq for zero points");
}

void CheckScaleValues(Judgement& j) {
  uint64_t tensors = 0, numbers = 0, negative_tensors = 0, negative = 0;
  std::string first, first_negative;
  for (const StoredModule& module : j.stored.all()) {
    for (const char* suffix : {"weight_scale", "weight_scale_inv", "scales"}) {
      const TensorExtent* scale = module.Find(suffix);
      if (scale == nullptr) continue;
      OddScales odd;
      ForEachPiece(j, *scale, [&](uint64_t, std::span<const std::byte> bytes) {
        Count(bytes, scale->info.dtype(), odd);
      });
      if (odd.negative != 0 && negative_tensors++ == 0) first_negative = scale->info.name();
      if (odd.not_finite != 0 && tensors++ == 0) first = scale->info.name();
      negative += odd.negative;
      numbers += odd.not_finite;
    }
  }
  if (negative_tensors != 0 && j.engine.negative_scales.empty()) {
    j.Warn("negative-scales", first_negative,
           std::to_string(negative) + " scales of " + std::to_string(negative_tensors) +
               " weights are negative; it is not known that the kernels compute with such",
           "quantize again with --search mse, or compare the engine's logits");
  }
  if (tensors == 0) return;
  j.Fatal("scale-not-finite", first,
          std::to_string(numbers) + " scales of " + std::to_string(tensors) +
              " weights are NaN or infinite: a quantizer divided zeros by zeros, or the file is "
              "damaged",
          "quantize again: tessera gives a group of zeros a finite scale");
}

void CheckUe8m0(Judgement& j) {
  if (j.claim.scale_fmt != "ue8m0") return;
  uint64_t tensors = 0, scales = 0;
  std::string first;
  for (const StoredModule& module : j.stored.all()) {
    const TensorExtent* scale = module.Find("weight_scale_inv");
    if (scale == nullptr || module.storage != Storage::kFp8Block) continue;
    uint64_t odd = 0;
    ForEachValue<float>(j, *scale, Dtype::kF32, [&](uint64_t, std::span<const float> values) {
      odd += static_cast<uint64_t>(
          std::ranges::count_if(values, [](float value) { return !IsPowerOfTwo(value); }));
    });
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
      const StoredModule* w2 = WithInputScale(j, expert, "w2", "down_proj");
      if (!gate || !up || w2 == nullptr) {
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
  const std::string what = std::to_string(missing) + " experts lack an input scale of w1, w2 or w3";
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
  for (const TensorExtent& tensor : j.checkpoint.tensors()) {
    if (tensor.info.dtype() != Dtype::kF8E4M3) continue;
    uint64_t codes = 0;
    ForEachPiece(j, tensor, [&](uint64_t, std::span<const std::byte> piece) {
      codes += static_cast<uint64_t>(std::ranges::count_if(
          piece, [](std::byte code) { return (code & std::byte{0x7F}) == std::byte{0x7F}; }));
    });
    if (codes == 0) continue;
    j.Fatal("nan-codes", tensor.info.name(),
            std::to_string(codes) + " codes are NaN (0x7F or 0xFF); on MI300 they become numbers",
            "the weights are damaged: compare with the original");
  }
}

}  // namespace tessera
