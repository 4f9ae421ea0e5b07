// A rank-sharded checkpoint understood as the model it was cut from: which pieces of which ranks'
// tensors make up each whole tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/fault_list.h"
#include "formats/model_spec.h"
#include "formats/rank_cut.h"

namespace tessera {

struct RankPiece {
  uint32_t shard;
  uint64_t offset;  // in the file
};

// How one whole tensor is put together. All its pieces have the same size.
struct RankJoin {
  Cut cut;
  uint32_t first;      // of its pieces, which are in the order of ranks
  uint32_t pieces;     // 1: the piece is the tensor
  uint64_t row_bytes;  // of the whole tensor; with kColumns
};

struct RankJoins {
  uint32_t ranks = 0;
  std::vector<RankJoin> joins;  // by tensor
  std::vector<RankPiece> pieces;
};

struct RankAssembly {
  std::vector<TensorExtent> tensors;  // whole, under Hugging Face names, by name
  RankJoins joins;
};

// The rank that each of the files is for. Fails unless they are exactly the ranks of one cut.
std::vector<uint32_t> NumberRanks(const std::vector<Shard>& shards,
                                  const std::filesystem::path& dir, FaultList& faults);

// `stored`: the tensors of all ranks under the demo's names, by name; `rank_of`: by shard. Every
// tensor must be on the ranks that its role says, with one type and shape.
RankAssembly AssembleRanks(const ModelSpec& spec, std::span<const TensorExtent> stored,
                           const std::vector<Shard>& shards, const std::vector<uint32_t>& rank_of,
                           FaultList& faults);

}  // namespace tessera
