#include "quant/calibration.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <span>
#include <utility>

#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace tessera {
namespace {

constexpr std::string_view kAmax = ".input_amax", kScale = ".input_scale";
constexpr float kE4m3Max = 448;

// "X.w1" is what the checkpoint calls "X.gate_proj".
std::string CheckpointName(std::string_view module) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {".w1", ".gate_proj"}, {".w3", ".up_proj"}, {".w2", ".down_proj"}};
  for (const auto& [theirs, ours] : kNames) {
    if (module.ends_with(theirs)) {
      module.remove_suffix(theirs.size());
      return std::string(module).append(ours);
    }
  }
  return std::string(module);
}

constexpr std::string_view kExperts = ".experts.";

std::string OfExpert(const std::string& stack, uint64_t expert) {
  std::string module = stack;
  return module.insert(stack.find(kExperts) + kExperts.size(), std::to_string(expert) + ".");
}

Error NoNumber(const TensorInfo& info, std::string found) {
  return Error(ErrorCode::kBadCalibration, "a maximum of activations is no such number")
      .Of(info.name())
      .Expected("positive, finite F32 numbers")
      .Found(std::move(found));
}

}  // namespace

std::string InputAmaxName(std::string_view module) {
  std::string name(module);
  if (const size_t at = name.find(kExperts); at != std::string::npos) {
    const size_t number = at + kExperts.size();
    name.erase(number, name.find('.', number) + 1 - number);
  }
  return name.append(kAmax);
}

Result<Calibration> Calibration::Read(const std::filesystem::path& path) {
  TESSERA_ASSIGN(const File file, File::OpenRead(path));
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  std::string magic(std::min<uint64_t>(identity.size, 4), '\0');
  TESSERA_TRY(file.ReadAt(0, std::as_writable_bytes(std::span(magic))));
  Calibration calibration;
  Result<void> read =
      magic == "GGUF" ? calibration.ReadGguf(file) : calibration.ReadSafetensors(file);
  if (!read) return Fail(std::move(read).error().Within(path.string()));
  TESSERA_TRY(calibration.SortByName(path));
  if (!calibration.amax_.empty()) return calibration;
  return Fail(Error(ErrorCode::kBadCalibration, "there is no maximum of activations in this file")
                  .In(path.string())
                  .Expected("tensors named LINEAR.input_amax or LINEAR.input_scale"));
}

Result<void> Calibration::SortByName(const std::filesystem::path& path) {
  std::ranges::sort(amax_);
  const auto twice = std::ranges::adjacent_find(amax_, [](const auto& a, const auto& b) {
    return a.first == b.first && a.second != b.second;
  });
  if (twice == amax_.end()) return {};
  return Fail(Error(ErrorCode::kBadCalibration, "a linear has two maxima of activations")
                  .In(path.string())
                  .Of(twice->first)
                  .Expected("one, under one of its names")
                  .Found(std::to_string(twice->second) + " and " +
                         std::to_string(std::next(twice)->second)));
}

Result<void> Calibration::ReadSafetensors(const File& file) {
  TESSERA_ASSIGN(const SafetensorsHeader header, ReadSafetensorsHeader(file));
  for (const SafetensorsEntry& entry : header.entries) {
    const std::string_view name = entry.info.name();
    const bool is_scale = name.ends_with(kScale);
    if (!is_scale && !name.ends_with(kAmax)) continue;
    float value = 0;
    const bool is_number = entry.info.dtype() == Dtype::kF32 && entry.info.bytes() == sizeof value;
    if (is_number) {
      TESSERA_TRY(file.ReadAt(header.data_begin + entry.begin,
                              std::as_writable_bytes(std::span(&value, 1))));
    }
    const float amax = is_scale ? value * kE4m3Max : value;
    if (!is_number || !std::isfinite(amax) || amax <= 0) {
      return Fail(NoNumber(entry.info, is_number ? std::to_string(value) : entry.info.Describe()));
    }
    amax_.emplace_back(
        CheckpointName(name.substr(0, name.size() - (is_scale ? kScale : kAmax).size())), amax);
  }
  return {};
}

Result<void> Calibration::ReadGguf(const File& file) {
  constexpr uint64_t kMaxExperts = uint64_t{1} << 16;
  TESSERA_ASSIGN(const GgufHeader header, ReadGgufHeader(file));
  for (const GgufEntry& entry : header.entries) {
    const TensorInfo& info = entry.info;
    if (!info.name().ends_with(kAmax)) continue;
    if (info.dtype() != Dtype::kF32 || info.elements() == 0 || info.elements() > kMaxExperts) {
      return Fail(NoNumber(info, info.Describe()));
    }
    std::vector<float> values(info.elements());
    TESSERA_TRY(
        file.ReadAt(header.data_begin + entry.begin, std::as_writable_bytes(std::span(values))));
    const auto bad = std::ranges::find_if_not(
        values, [](float value) { return std::isfinite(value) && value >= 0; });
    if (bad != values.end()) return Fail(NoNumber(info, std::to_string(*bad)));
    const float largest = std::ranges::max(values);
    // Nothing but zeros came in: there is no scale to be had from that.
    if (largest == 0) continue;
    const std::string module = info.name().substr(0, info.name().size() - kAmax.size());
    if (module.find(kExperts) == std::string::npos) {
      if (values.size() != 1) return Fail(NoNumber(info, info.Describe()));
      amax_.emplace_back(module, values[0]);
      continue;
    }
    for (uint64_t i = 0; i < values.size(); ++i) {
      amax_.emplace_back(OfExpert(module, i), values[i] == 0 ? largest : values[i]);
    }
  }
  return {};
}

std::optional<float> Calibration::InputAmax(std::string_view module) const {
  const auto it =
      std::ranges::lower_bound(amax_, module, {}, &std::pair<std::string, float>::first);
  if (it == amax_.end() || it->first != module) return std::nullopt;
  return it->second;
}

Digest Calibration::digest() const {
  Xxh3Stream hash;
  for (const auto& [name, amax] : amax_) {
    hash.Update(name.size());
    hash.Update(name);
    hash.Update(uint64_t{std::bit_cast<uint32_t>(amax)});
  }
  return hash.Finish();
}

}  // namespace tessera
