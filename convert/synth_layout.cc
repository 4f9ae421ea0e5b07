#include "convert/synth_layout.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "formats/shard_name.h"
#include "quant/module_set.h"

namespace tessera {
namespace {

constexpr uint64_t kBlock = 128;

// The layers that end the released V3's pipeline stages; a stage's remainder is a shard of its own.
constexpr int32_t kStageEnds[] = {6, 14, 22, 30, 38, 46, 53};

uint64_t ShardElements(SynthPreset preset) {
  switch (preset) {
    case SynthPreset::kTiny:
      return uint64_t{1} << 21;
    case SynthPreset::kSmall:
      return uint64_t{1} << 27;
    case SynthPreset::kV3Slice:
      return uint64_t{1} << 29;
    case SynthPreset::kDeepSeekV3:
      break;
  }
  return uint64_t{1} << 32;
}

struct Item {
  TensorInfo info;
  TensorRole role;
  bool ends_stage = false;
};

bool IsNorm(const ModelSpec& spec, const TensorRole& role) {
  return (role.part == Part::kWeight && spec.ShapeOf(role)->size() == 1) ||
         role.part == Part::kBias;
}

Dtype DtypeOf(const ModelSpec& spec, const TensorRole& role, SynthFormat format) {
  if (role.part == Part::kRouterBias || role.part == Part::kScaleInv) return Dtype::kF32;
  if (spec.family() == Family::kV32 && IsNorm(spec, role)) return Dtype::kF32;
  if (format == SynthFormat::kFp8 && Contains(ModuleSet::kFp8Linears, role)) return Dtype::kF8E4M3;
  return Dtype::kBF16;
}

// Gathers the tensors in the order in which DeepSeek wrote them.
class Items {
 public:
  Items(const ModelSpec& spec, const SynthRequest& request, SynthFormat format)
      : spec_(spec), request_(request), format_(format) {}

  Result<std::vector<Item>> Gather() {
    spec_.ForEach([&](const TensorRole& role) { AddWithPartners(role); });
    if (request_.preset == SynthPreset::kDeepSeekV3) MarkStages();
    if (error_) return Fail(*std::move(error_));
    return std::move(items_);
  }

 private:
  void AddWithPartners(const TensorRole& role) {
    const bool copy = role.module == Module::kMtpEmbedTokens || role.module == Module::kMtpHead;
    if (copy && !request_.quirks) return;
    const Dtype dtype = DtypeOf(spec_, role, format_);
    const Shape shape = *spec_.ShapeOf(role);
    Add(role, dtype, shape);
    if (dtype == Dtype::kF8E4M3) {
      TensorRole scale = role;
      scale.part = Part::kScaleInv;
      Add(scale, Dtype::kF32, {(shape[0] + kBlock - 1) / kBlock, (shape[1] + kBlock - 1) / kBlock});
    }
    if (request_.quirks && spec_.family() == Family::kK2 && role.module == Module::kO) {
      Add({.module = Module::kRotaryInvFreq, .part = Part::kBuffer, .layer = role.layer},
          Dtype::kBF16, {56});
    }
  }

  void Add(const TensorRole& role, Dtype dtype, const Shape& shape) {
    Result<TensorInfo> info = TensorInfo::Make(spec_.NameOf(role), dtype, shape);
    if (info) {
      items_.push_back({*std::move(info), role});
    } else if (!error_) {
      error_ = std::move(info).error();
    }
  }

  void MarkStages() {
    for (size_t i = 0; i + 1 < items_.size(); ++i) {
      for (const int32_t end : kStageEnds) {
        if (items_[i].role.layer == end && items_[i + 1].role.layer == end + 1) {
          items_[i].ends_stage = true;
        }
      }
    }
  }

  const ModelSpec& spec_;
  const SynthRequest& request_;
  const SynthFormat format_;
  std::vector<Item> items_;
  std::optional<Error> error_;
};

bool ArePair(const Item& weight, const Item& next) {
  TensorRole scale = weight.role;
  scale.part = Part::kScaleInv;
  return next.role == scale;
}

SynthLayout Cut(std::span<const Item> items, uint64_t shard_elements, bool split_pairs) {
  SynthLayout layout;
  uint64_t elements = 0;
  bool open = false;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!open) {
      layout.shards.emplace_back();
      elements = 0;
    }
    SynthShard& shard = layout.shards.back();
    shard.tensors.push_back({items[i].info, items[i].role, shard.data_bytes});
    shard.data_bytes += items[i].info.bytes();
    elements += items[i].info.elements();
    layout.elements += items[i].info.elements();
    const bool full = elements >= shard_elements;
    const bool in_pair = i + 1 < items.size() && ArePair(items[i], items[i + 1]);
    open = !items[i].ends_stage && (!full || (in_pair && !split_pairs));
    layout.split_pairs += in_pair && !open;
  }
  return layout;
}

// K2 numbers its files without padding; DeepSeek pads to five digits of six.
std::string FileName(Family family, size_t number, size_t count) {
  ShardName name{.prefix = "model", .number = number, .count = count};
  name.count_width = 6;
  if (family == Family::kK2) name.number_width = name.count_width = 1;
  return ToString(name);
}

}  // namespace

Result<SynthLayout> LayOutSynth(const ModelSpec& spec, const SynthRequest& request,
                                SynthFormat format) {
  TESSERA_ASSIGN(const std::vector<Item> items, Items(spec, request, format).Gather());
  uint64_t limit = ShardElements(request.preset);
  SynthLayout layout = Cut(items, limit, request.quirks);
  // A split pair is the quirk that matters most: where the round limit meets none, a smaller does.
  const bool must_split = request.quirks && format == SynthFormat::kFp8;
  while (must_split && layout.split_pairs == 0 && limit > 64) {
    limit -= limit / 64;
    layout = Cut(items, limit, request.quirks);
  }
  for (size_t i = 0; i < layout.shards.size(); ++i) {
    layout.shards[i].name = FileName(spec.family(), i + 1, layout.shards.size());
  }
  return layout;
}

}  // namespace tessera
