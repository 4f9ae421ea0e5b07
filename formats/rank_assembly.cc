#include "formats/rank_assembly.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "formats/shard_name.h"

namespace tessera {
namespace {

// The file's rank, if its name is spelt as the demo spells it.
std::optional<RankShardName> RankOf(const std::string& file) {
  const std::optional<RankShardName> name = ParseRankShardName(file);
  if (!name || ToString(*name) != Uncompressed(file) || name->rank >= name->count)
    return std::nullopt;
  return name;
}

class Assembler {
 public:
  Assembler(const ModelSpec& spec, std::span<const TensorExtent> stored,
            const std::vector<Shard>& shards, const std::vector<uint32_t>& rank_of,
            FaultList& faults)
      : spec_(spec),
        stored_(stored),
        shards_(shards),
        ranks_(static_cast<uint32_t>(shards.size())),
        rank_of_(rank_of),
        faults_(faults) {}

  RankAssembly Run() {
    result_.joins.ranks = ranks_;
    if (spec_.n_routed_experts % ranks_ != 0) {
      faults_.Add(Error(ErrorCode::kBadConfig, "the experts do not divide among the ranks")
                      .Expected("a multiple of " + std::to_string(ranks_) + " routed experts")
                      .Found("n_routed_experts " + std::to_string(spec_.n_routed_experts))
                      .Next("check that config.json belongs to these files"));
      return std::move(result_);
    }
    for (size_t begin = 0; begin < stored_.size() && !faults_.full();) {
      size_t end = begin + 1;
      while (end < stored_.size() && stored_[end].info.name() == stored_[begin].info.name()) ++end;
      Assemble(stored_.subspan(begin, end - begin));
      begin = end;
    }
    SortByName();
    return std::move(result_);
  }

 private:
  const std::string& FileOf(const TensorExtent& tensor) const { return shards_[tensor.shard].name; }

  Error Fault(ErrorCode code, const TensorExtent& tensor, std::string what) const {
    return Error(code, std::move(what)).Of(tensor.info.name()).In(FileOf(tensor));
  }

  void Assemble(std::span<const TensorExtent> held) {
    const std::optional<TensorRole> role = spec_.Parse(held[0].info.name(), NameStyle::kDeepSeek);
    if (!role) {
      return faults_.Add(
          Fault(ErrorCode::kUnknownTensor, held[0],
                held[0].info.name() + " is no tensor of this " + spec_.model_type() + " model")
              .Expected("only names of DeepSeek's demo that config.json implies")
              .Found(held[0].info.Describe())
              .Next("check that config.json belongs to these files"));
    }
    const Cut cut = CutOf(*role);
    if (auto placed = CheckPlaces(held, *role, cut); !placed) {
      return faults_.Add(std::move(placed).error());
    }
    Result<TensorInfo> whole = Whole(held[0], *role, cut);
    if (!whole) return faults_.Add(std::move(whole).error().Within(FileOf(held[0])));
    Join(held, *std::move(whole), cut);
  }

  Result<void> CheckPlaces(std::span<const TensorExtent> held, const TensorRole& role,
                           Cut cut) const {
    if (cut == Cut::kOwned) {
      const uint32_t owner = OwnerOf(role, spec_.n_routed_experts, ranks_);
      for (const TensorExtent& tensor : held) {
        if (rank_of_[tensor.shard] == owner) continue;
        return Fail(Fault(ErrorCode::kTensorNotInShard, tensor,
                          "a routed expert is on a rank that does not own it")
                        .Expected("in " + ToString(RankShardName{owner, ranks_}) + " only"));
      }
      return {};
    }
    std::vector<bool> holds(ranks_, false);
    for (const TensorExtent& tensor : held) {
      holds[rank_of_[tensor.shard]] = true;
      if (tensor.info == held[0].info) continue;
      const bool type = tensor.info.dtype() != held[0].info.dtype();
      return Fail(
          Fault(type ? ErrorCode::kWrongDtype : ErrorCode::kWrongShape, tensor,
                "a tensor differs between ranks in " + std::string(type ? "its type" : "its shape"))
              .Expected(held[0].info.Describe() + ", as in " + FileOf(held[0]))
              .Found(tensor.info.Describe()));
    }
    const auto lacking = std::ranges::find(holds, false);
    if (lacking == holds.end()) return {};
    const auto rank = static_cast<uint32_t>(lacking - holds.begin());
    return Fail(Error(ErrorCode::kTensorNotInShard, "a rank lacks a tensor that the others have")
                    .Of(held[0].info.name())
                    .In(ToString(RankShardName{rank, ranks_}))
                    .Found("in " + std::to_string(held.size()) + " of " + std::to_string(ranks_) +
                           " files, such as " + FileOf(held[0])));
  }

  // What the pieces add up to.
  Result<TensorInfo> Whole(const TensorExtent& piece, const TensorRole& role, Cut cut) const {
    const TensorInfo& info = piece.info;
    Shape shape = info.shape();
    if (cut == Cut::kRows || cut == Cut::kColumns) {
      // Rows must begin at whole bytes, or their parts could not be put side by side.
      if (shape.size() != 2 || (shape[0] != 0 && info.bytes() % shape[0] != 0)) {
        return Fail(Fault(ErrorCode::kWrongShape, piece, "a cut tensor is no matrix of whole bytes")
                        .Found(info.Describe()));
      }
      uint64_t& side = shape[cut == Cut::kRows ? 0 : 1];
      if (__builtin_mul_overflow(side, ranks_, &side)) side = UINT64_MAX;  // for Make to refuse
    }
    return TensorInfo::Make(spec_.NameOf(role), info.dtype(), std::move(shape));
  }

  void Join(std::span<const TensorExtent> held, TensorInfo whole, Cut cut) {
    std::vector<RankPiece>& pieces = result_.joins.pieces;
    const size_t first = pieces.size();
    pieces.resize(first + held.size());
    for (const TensorExtent& tensor : held) {
      const size_t at = cut == Cut::kOwned ? 0 : rank_of_[tensor.shard];
      pieces[first + at] = {tensor.shard, tensor.offset};
    }
    const uint64_t rows = whole.shape().empty() ? 0 : whole.shape()[0];
    result_.joins.joins.push_back({.cut = cut,
                                   .first = static_cast<uint32_t>(first),
                                   .pieces = static_cast<uint32_t>(held.size()),
                                   .row_bytes = rows == 0 ? 0 : whole.bytes() / rows});
    result_.tensors.push_back({std::move(whole), pieces[first].shard, pieces[first].offset});
  }

  void SortByName() {
    std::vector<uint32_t> order(result_.tensors.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::sort(order, {}, [&](uint32_t i) -> const std::string& {
      return result_.tensors[i].info.name();
    });
    std::vector<TensorExtent> tensors;
    std::vector<RankJoin> joins;
    tensors.reserve(order.size());
    joins.reserve(order.size());
    for (const uint32_t i : order) {
      tensors.push_back(std::move(result_.tensors[i]));
      joins.push_back(result_.joins.joins[i]);
    }
    result_.tensors = std::move(tensors);
    result_.joins.joins = std::move(joins);
  }

  const ModelSpec& spec_;
  const std::span<const TensorExtent> stored_;
  const std::vector<Shard>& shards_;
  const uint32_t ranks_;
  const std::vector<uint32_t>& rank_of_;
  FaultList& faults_;
  RankAssembly result_;
};

}  // namespace

std::vector<uint32_t> NumberRanks(const std::vector<Shard>& shards,
                                  const std::filesystem::path& dir, FaultList& faults) {
  std::vector<uint32_t> rank_of;
  std::vector<uint64_t> present;
  const Shard* first = nullptr;
  uint64_t count = 0;
  for (const Shard& shard : shards) {
    const std::optional<RankShardName> name = RankOf(shard.name);
    if (!name) {
      faults.Add(Error(ErrorCode::kExtraShard, "a safetensors file that is no rank's")
                     .In((dir / shard.name).string())
                     .Expected("model{r}-mp{N}.safetensors with r below N, as beside it")
                     .Next("it may be left over from another checkpoint: move it away"));
      continue;
    }
    if (first == nullptr) first = &shard, count = name->count;
    if (name->count != count) {
      faults.Add(Error(ErrorCode::kShardNumbering, "the folder holds ranks of more than one cut")
                     .In(dir.string())
                     .Found(first->name + " and " + shard.name)
                     .Next("keep the files of one cut together and move the others away"));
      return {};
    }
    present.push_back(name->rank);
    rank_of.push_back(static_cast<uint32_t>(name->rank));
  }
  std::ranges::sort(present);
  for (uint64_t rank = 0, at = 0; rank < count && !faults.full(); ++rank) {
    if (at < present.size() && present[at] == rank) {
      ++at;
      continue;
    }
    faults.Add(
        Error(ErrorCode::kMissingShard, "the file of a rank is missing")
            .In((dir / ToString(RankShardName{rank, count})).string())
            .Found(std::to_string(present.size()) + " of " + std::to_string(count) + " ranks")
            .Next("all ranks together make the model: fetch or make this one too"));
  }
  return rank_of;
}

RankAssembly AssembleRanks(const ModelSpec& spec, std::span<const TensorExtent> stored,
                           const std::vector<Shard>& shards, const std::vector<uint32_t>& rank_of,
                           FaultList& faults) {
  return Assembler(spec, stored, shards, rank_of, faults).Run();
}

}  // namespace tessera
