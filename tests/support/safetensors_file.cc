#include "tests/support/safetensors_file.h"

#include "formats/tensor.h"

namespace tessera {

std::string ShardBytes(const Contents& tensors, const SafetensorsMetadata& metadata) {
  std::vector<TensorInfo> infos;
  std::string data;
  for (const auto& [name, bytes] : tensors) {
    infos.push_back(*TensorInfo::Make(name, Dtype::kU8, {bytes.size()}));
    data += bytes;
  }
  std::vector<const TensorInfo*> pointers;
  for (const TensorInfo& info : infos) pointers.push_back(&info);
  return *RenderSafetensorsHeader(pointers, metadata) + data;
}

uint64_t BytesOfEntry(const Json& entry) {
  const auto dtype = entry.find("dtype"), shape = entry.find("shape");
  if (dtype == entry.end() || shape == entry.end() || !dtype->is_string()) return 0;
  const auto type = ParseSafetensorsDtype(dtype->get<std::string>());
  Shape dims;
  for (const Json& dim : *shape) {
    if (!dim.is_number_unsigned()) return 0;
    dims.push_back(dim.get<uint64_t>());
  }
  if (!type) return 0;
  const auto info = TensorInfo::Make("", *type, dims);
  return info ? info->bytes() : 0;
}

}  // namespace tessera
