// What a calibration measured, in either form: what is accepted has one number for a linear, which
// a scale can be made of, and the same when it is read again.
//
// An input is a header as JSON, with the tensors' values; it becomes a safetensors file and, as far
// as that can say it, a GGUF file.
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/gguf.h"
#include "quant/calibration.h"
#include "tests/fuzz/folder_document.h"
#include "tests/fuzz/require.h"

namespace {

using namespace tessera;

constexpr uint64_t kMostBytes = uint64_t{1} << 16;
constexpr std::string_view kExperts = ".experts.";

std::string GgufOf(const Json& header) {
  std::vector<TensorInfo> tensors;
  std::string data;
  for (const auto& [name, entry] : header.items()) {
    if (!entry.is_object() || !entry.value("dtype", Json()).is_string()) continue;
    const auto dtype = ParseDtype(entry["dtype"].get<std::string>());
    const Json values = entry.value("values", Json::array());
    if (!dtype || !values.is_array()) continue;
    auto info = TensorInfo::Make(name, *dtype, {values.size() / Info(*dtype).block});
    if (!info || info->bytes() > kMostBytes) continue;
    std::string bytes = BytesOfValues(values, Name(*dtype));
    bytes.resize(info->bytes());
    data += bytes;
    data.resize(PadTo(data.size(), kGgufAlignment));
    tensors.push_back(*std::move(info));
  }
  std::vector<const TensorInfo*> pointers;
  for (const TensorInfo& info : tensors) pointers.push_back(&info);
  const auto rendered = RenderGgufHeader({{"tessera.calibration", uint32_t{1}}}, pointers);
  return rendered ? *rendered + data : "";
}

void CheckAmax(const Calibration& calibration, const std::string& module) {
  const auto amax = calibration.InputAmax(module);
  Require(!amax || (std::isfinite(*amax) && *amax > 0));
}

// By every name that a tensor's can stand for.
void CheckModule(const Calibration& calibration, std::string module) {
  CheckAmax(calibration, module);
  for (const char* projection : {".gate_proj", ".up_proj", ".down_proj"}) {
    CheckAmax(calibration, module.substr(0, module.rfind('.')) + projection);
  }
  const size_t stack = module.find(kExperts);
  if (stack == std::string::npos) return;
  for (const char* expert : {"0.", "1.", "2."}) {
    CheckAmax(calibration, std::string(module).insert(stack + kExperts.size(), expert));
  }
}

void Check(const std::filesystem::path& path, const Json& header) {
  const auto calibration = Calibration::Read(path);
  if (!calibration) return;
  Require(Calibration::Read(path).value().digest() == calibration->digest());
  for (const auto& [name, entry] : header.items()) {
    CheckModule(*calibration, name.substr(0, name.rfind('.')));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  const auto header = ParseJson(AsText(data, size));
  if (!header || !header->is_object()) return 0;
  const ShardFile shard = ShardOf(*header);
  dir.Write("calibration", shard.bytes);
  std::filesystem::resize_file(dir / "calibration", shard.size);
  Check(dir / "calibration", *header);
  dir.Write("calibration", GgufOf(*header));
  Check(dir / "calibration", *header);
  return 0;
}
