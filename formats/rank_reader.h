// Reads tensors that several ranks hold together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/rank_assembly.h"
#include "formats/result.h"
#include "formats/shard_files.h"

namespace tessera {

// Bytes [begin, begin + out.size()) of the whole tensor `tensor`, whose join is `join`. Every
// source byte is read once and in runs: of columns, each rank's rows at a time. Copies that ranks
// hold alike are all read, and a difference is kRanksDiffer. Thread-safe; needs 1 MiB beside `out`.
class RankReader {
 public:
  RankReader(const RankJoins& joins, std::span<const Shard> shards, ShardFiles& files)
      : joins_(joins), shards_(shards), files_(files) {}

  Result<void> Read(const TensorInfo& tensor, const RankJoin& join, uint64_t begin,
                    std::span<std::byte> out) const;

 private:
  const RankPiece& Piece(const RankJoin& join, uint32_t rank) const {
    return joins_.pieces[join.first + rank];
  }
  Result<void> ReadPiece(const RankPiece& piece, uint64_t begin, std::span<std::byte> out) const;
  Result<void> ReadRows(uint64_t piece_bytes, const RankJoin& join, uint64_t begin,
                        std::span<std::byte> out) const;
  Result<void> ReadColumns(const RankJoin& join, uint64_t begin, std::span<std::byte> out) const;
  Result<void> ReadCopies(const TensorInfo& tensor, const RankJoin& join, uint64_t begin,
                          std::span<std::byte> out) const;

  const RankJoins& joins_;
  const std::span<const Shard> shards_;
  ShardFiles& files_;
};

}  // namespace tessera
