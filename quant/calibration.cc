#include "quant/calibration.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "formats/file.h"
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

}  // namespace

Result<Calibration> Calibration::Read(const std::filesystem::path& path) {
  TESSERA_ASSIGN(const File file, File::OpenRead(path));
  TESSERA_ASSIGN(const SafetensorsHeader header, ReadSafetensorsHeader(file));
  Calibration calibration;
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
    if (!is_number || !std::isfinite(value) || value <= 0) {
      return Fail(Error(ErrorCode::kBadCalibration, "a maximum of activations is no such number")
                      .In(path.string())
                      .Of(std::string(name))
                      .Expected("one positive, finite F32 number")
                      .Found(is_number ? std::to_string(value) : entry.info.Describe()));
    }
    calibration.amax_.emplace_back(
        CheckpointName(name.substr(0, name.size() - (is_scale ? kScale : kAmax).size())),
        is_scale ? value * kE4m3Max : value);
  }
  std::ranges::sort(calibration.amax_);
  if (!calibration.amax_.empty()) return calibration;
  return Fail(Error(ErrorCode::kBadCalibration, "there is no maximum of activations in this file")
                  .In(path.string())
                  .Expected("tensors named LINEAR.input_amax or LINEAR.input_scale"));
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
