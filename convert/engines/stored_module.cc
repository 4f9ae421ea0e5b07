#include "convert/engines/stored_module.h"

#include <algorithm>
#include <iterator>

namespace tessera {
namespace {

constexpr uint64_t kBlock = 128;

struct StorageName {
  Storage storage;
  std::string_view name;
};
constexpr StorageName kNames[] = {
    {Storage::kAbsent, "absent"},
    {Storage::kFloat, "unquantized"},
    {Storage::kFp8Block, "block FP8"},
    {Storage::kFp8Channel, "FP8 with a scale a row"},
    {Storage::kFp8Tensor, "FP8 with one scale"},
    {Storage::kInt8Channel, "INT8 with a scale a row"},
    {Storage::kInt8Block, "block INT8"},
    {Storage::kInt8Static, "INT8 for static activations"},
    {Storage::kInt4Bytes, "INT4 in bytes"},
    {Storage::kPacked, "pack-quantized"},
    {Storage::kAwq, "AWQ"},
    {Storage::kGptq, "GPTQ"},
    {Storage::kNoScale, "codes without a scale"},
    {Storage::kUnknown, "of an unknown kind"},
};

uint64_t Rows(const TensorExtent& t) { return t.info.shape().empty() ? 1 : t.info.shape()[0]; }
uint64_t Columns(const TensorExtent& t) {
  return t.info.shape().size() < 2 ? 1 : t.info.shape()[1];
}

bool IsBlockGrid(const TensorExtent& weight, const TensorExtent& scale) {
  const auto blocks = [](uint64_t n) { return (n + kBlock - 1) / kBlock; };
  return scale.info.shape().size() == 2 && Rows(scale) == blocks(Rows(weight)) &&
         Columns(scale) == blocks(Columns(weight));
}

Storage OfFp8(const StoredModule& module, const TensorExtent& weight) {
  if (module.Find("weight_scale_inv") != nullptr) return Storage::kFp8Block;
  const TensorExtent* scale = module.Find("weight_scale");
  if (scale == nullptr) return Storage::kNoScale;
  if (scale->info.elements() == 1) return Storage::kFp8Tensor;
  if (scale->info.elements() == Rows(weight)) return Storage::kFp8Channel;
  return IsBlockGrid(weight, *scale) ? Storage::kFp8Block : Storage::kUnknown;
}

Storage OfInt8(const StoredModule& module, const TensorExtent& weight) {
  if (const TensorExtent* scale = module.Find("weight_scale_inv")) {
    // Grids of blocks have a row for 128 rows of the weight, W4AFP8 has one for each.
    return Rows(*scale) == Rows(weight) && Rows(weight) > 1 ? Storage::kInt4Bytes
                                                            : Storage::kInt8Block;
  }
  const TensorExtent* scale = module.Find("weight_scale");
  if (scale == nullptr) {
    return module.Find("deq_scale") != nullptr ? Storage::kInt8Static : Storage::kNoScale;
  }
  return scale->info.elements() == Rows(weight) ? Storage::kInt8Channel : Storage::kUnknown;
}

Storage Classify(const StoredModule& module) {
  if (module.Find("weight_packed") != nullptr) return Storage::kPacked;
  if (const TensorExtent* codes = module.Find("qweight")) {
    const TensorExtent* scales = module.Find("scales");
    if (module.Find("g_idx") != nullptr) return Storage::kGptq;
    // AWQ packs along the output, whose full width the scales have.
    return scales != nullptr && Columns(*codes) < Columns(*scales) ? Storage::kAwq : Storage::kGptq;
  }
  const TensorExtent* weight = module.Find("weight");
  if (weight == nullptr) return Storage::kUnknown;
  switch (weight->info.dtype()) {
    case Dtype::kF8E4M3:
    case Dtype::kF8E5M2:
      return OfFp8(module, *weight);
    case Dtype::kI8:
      return OfInt8(module, *weight);
    default:
      return IsPlainFloat(weight->info.dtype()) ? Storage::kFloat : Storage::kUnknown;
  }
}

}  // namespace

std::string_view Name(Storage storage) {
  return std::ranges::find(kNames, storage, &StorageName::storage)->name;
}

const TensorExtent* StoredModule::Find(std::string_view suffix) const {
  const auto part = std::ranges::find_if(parts, [&](const auto& p) { return p.first == suffix; });
  return part == parts.end() ? nullptr : part->second;
}

const TensorExtent& StoredModule::main() const {
  for (const char* suffix : {"weight", "weight_packed", "qweight"}) {
    if (const TensorExtent* tensor = Find(suffix)) return *tensor;
  }
  return *parts[0].second;
}

uint64_t StoredModule::ScalesPerRow() const {
  if (const TensorExtent* scales = Find("scales")) return Rows(*scales);
  const TensorExtent* scale = Find("weight_scale");
  if (scale == nullptr) scale = Find("weight_scale_inv");
  return scale == nullptr ? 1 : Columns(*scale);
}

StoredModules::StoredModules(const Checkpoint& checkpoint) {
  for (const TensorExtent& tensor : checkpoint.tensors()) {
    const std::string& name = tensor.info.name();
    const size_t dot = name.rfind('.');
    if (dot == std::string::npos) continue;
    // By name, so that the tensors of a module are neighbours.
    if (modules_.empty() || modules_.back().name != name.substr(0, dot)) {
      modules_.push_back({.name = name.substr(0, dot), .parts = {}});
    }
    modules_.back().parts.emplace_back(name.substr(dot + 1), &tensor);
  }
  std::ranges::sort(modules_, {}, &StoredModule::name);
  for (StoredModule& module : modules_) module.storage = Classify(module);
}

const StoredModule* StoredModules::Find(std::string_view name) const {
  const auto module = std::ranges::lower_bound(
      modules_, name, {}, [](const StoredModule& m) { return std::string_view(m.name); });
  return module != modules_.end() && module->name == name ? &*module : nullptr;
}

Storage StoredModules::StorageOf(std::string_view name) const {
  const StoredModule* module = Find(name);
  return module == nullptr ? Storage::kAbsent : module->storage;
}

}  // namespace tessera
