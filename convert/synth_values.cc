#include "convert/synth_values.h"

#include <bit>
#include <cmath>
#include <cstddef>

#include "formats/hash.h"

namespace tessera {
namespace {

constexpr uint64_t kStep = 0x9E3779B97F4A7C15;  // splitmix64's

// splitmix64's output function: a bijection that passes the usual tests on consecutive counters.
constexpr uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

uint64_t KeyOf(uint64_t seed, std::string_view name) {
  Xxh3Stream hash;
  hash.Update(seed);
  hash.Update(name);
  uint64_t key = 0;
  const Digest digest = hash.Finish();
  for (size_t i = 0; i < 8; ++i) key = key << 8 | std::to_integer<uint64_t>(digest.bytes[i]);
  return key;
}

// The sum of four uniform 15-bit numbers, centred: bell-shaped, within +-65534.
constexpr int32_t Bell(uint64_t bits) {
  const uint64_t sum =
      (bits & 0x7FFF) + ((bits >> 15) & 0x7FFF) + ((bits >> 30) & 0x7FFF) + ((bits >> 45) & 0x7FFF);
  return static_cast<int32_t>(sum) - 2 * 0x7FFF;
}
constexpr double kBellVariance = 4.0 * (32768.0 * 32768.0 - 1) / 12;

// One draw in sixteen is 2, 4, 8 or 16 times wider, in halving shares.
constexpr int32_t TailFactor(uint64_t bits) {
  if (bits >> 60 != 0) return 1;
  const int halvings = std::countr_zero(Mix(bits + kStep) | 0b1000);
  return 2 << halvings;
}
constexpr double kTailMoment = 15.0 / 16 + (4.0 / 2 + 16.0 / 4 + 64.0 / 8 + 256.0 / 8) / 16;

// Per-row width in [0.5, 2.5), by 1/128.
constexpr float RowWidth(uint64_t bits) { return static_cast<float>(64 + (bits & 0xFF)) * 0x1p-7f; }
constexpr double kRowMoment = (2.5 * 2.5 * 2.5 - 0.5 * 0.5 * 0.5) / 6;

// One column in 64 is four times wider.
constexpr float ColumnWidth(uint64_t bits) { return bits % 64 == 0 ? 4.0f : 1.0f; }
constexpr double kColumnMoment = (63.0 + 16.0) / 64;

constexpr uint64_t kRowStream = 0x526F775769647468, kColumnStream = 0x436F6C5769647468;

}  // namespace

SynthValues::SynthValues(const ModelSpec& spec, const TensorRole& role, const Shape& shape,
                         uint64_t seed)
    : columns_(shape.back()) {
  TensorRole original = role;
  if (role.module == Module::kMtpEmbedTokens) original = {.module = Module::kEmbedTokens};
  if (role.module == Module::kMtpHead) original = {.module = Module::kLmHead};
  key_ = KeyOf(seed, spec.NameOf(original));
  if (role.part == Part::kBuffer) {
    kind_ = Kind::kBuffer;
  } else if (role.part == Part::kRouterBias) {
    kind_ = Kind::kRouterBias;
  } else if (role.part == Part::kBias) {
    kind_ = Kind::kBias;
  } else if (shape.size() == 1) {
    kind_ = Kind::kNorm;
  } else {
    kind_ = role.module == Module::kRouter ? Kind::kRouter : Kind::kLinear;
  }
  // An embedding row is looked up, not summed over: its elements are of order 1.
  const double terms = original.module == Module::kEmbedTokens ? 1 : static_cast<double>(columns_);
  double moment = kBellVariance;
  if (kind_ == Kind::kLinear) moment *= kTailMoment * kRowMoment * kColumnMoment;
  unit_ = static_cast<float>(1 / std::sqrt(terms * moment));
  if (kind_ != Kind::kLinear) return;
  column_width_.resize(columns_);
  for (uint64_t c = 0; c < columns_; ++c) {
    column_width_[c] = ColumnWidth(Mix((key_ ^ kColumnStream) + c * kStep));
  }
}

void SynthValues::FillRows(uint64_t begin, std::span<float> out) const {
  for (uint64_t done = 0; done < out.size(); done += columns_) {
    const uint64_t row = begin + done / columns_;
    const std::span<float> values = out.subspan(done, columns_);
    if (kind_ == Kind::kLinear) {
      FillLinearRow(row, values);
      continue;
    }
    for (uint64_t c = 0; c < columns_; ++c) {
      const int32_t draw = Bell(Mix(key_ + (row * columns_ + c) * kStep));
      switch (kind_) {
        case Kind::kRouter:
          values[c] = static_cast<float>(draw) * unit_;
          break;
        case Kind::kNorm:
          values[c] = 1.0f + static_cast<float>(draw) * 0x1p-19f;  // within 1/8
          break;
        case Kind::kBias:
          values[c] = static_cast<float>(draw) * 0x1p-20f;
          break;
        case Kind::kRouterBias:
          values[c] = 2.0f + static_cast<float>(draw) * 0x1p-21f;  // the released ones lie about 2
          break;
        default:
          values[c] = 1.0f / static_cast<float>(c + 1);
      }
    }
  }
}

void SynthValues::FillLinearRow(uint64_t row, std::span<float> out) const {
  const float unit = unit_ * RowWidth(Mix((key_ ^ kRowStream) + row * kStep));
  const uint64_t base = key_ + row * columns_ * kStep;
  for (uint64_t c = 0; c < columns_; ++c) {
    const uint64_t bits = Mix(base + c * kStep);
    // At most 2^20, hence exact in F32.
    const auto draw = static_cast<float>(Bell(bits) * TailFactor(bits));
    out[c] = draw * (unit * column_width_[c]);
  }
}

}  // namespace tessera
