#include "formats/rank_reader.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>


namespace tessera {
namespace {

constexpr uint64_t kScratchBytes = uint64_t{1} << 20;

}  // namespace

Result<void> RankReader::Read(const TensorInfo& tensor, const RankJoin& join, uint64_t begin,
                              std::span<std::byte> out) const {
  Result<void> read = [&]() -> Result<void> {
    if (join.pieces == 1) return ReadPiece(Piece(join, 0), begin, out);
    switch (join.cut) {
      case Cut::kRows:
        return ReadRows(tensor.bytes() / join.pieces, join, begin, out);
      case Cut::kColumns:
        return ReadColumns(join, begin, out);
      case Cut::kReplicated:
      case Cut::kOwned:
        break;
    }
    return ReadCopies(tensor, join, begin, out);
  }();
  if (!read) return Fail(std::move(read).error().Of(tensor.name()));
  return {};
}

Result<void> RankReader::ReadPiece(const RankPiece& piece, uint64_t begin,
                                   std::span<std::byte> out) const {
  return files_.ReadAt(piece.shard, piece.offset + begin, out);
}

Result<void> RankReader::ReadRows(uint64_t piece_bytes, const RankJoin& join, uint64_t begin,
                                  std::span<std::byte> out) const {
  while (!out.empty()) {
    const uint64_t within = begin % piece_bytes;
    const uint64_t size = std::min<uint64_t>(out.size(), piece_bytes - within);
    const RankPiece& piece = Piece(join, static_cast<uint32_t>(begin / piece_bytes));
    TESSERA_TRY(ReadPiece(piece, within, out.first(size)));
    begin += size;
    out = out.subspan(size);
  }
  return {};
}

Result<void> RankReader::ReadColumns(const RankJoin& join, uint64_t begin,
                                     std::span<std::byte> out) const {
  const uint64_t row = join.row_bytes, share = row / join.pieces;  // of each rank in a row
  std::vector<std::byte> scratch(std::min<uint64_t>(out.size(), kScratchBytes));
  for (uint32_t rank = 0; rank < join.pieces; ++rank) {
    // How many of the rank's bytes lie before a place in the whole tensor.
    const auto before = [&](uint64_t place) {
      const uint64_t column = place % row, left = rank * share;
      return place / row * share + std::clamp(column, left, left + share) - left;
    };
    const uint64_t end = before(begin + out.size());
    for (uint64_t at = before(begin); at < end;) {
      const auto run = std::span(scratch).first(std::min<uint64_t>(scratch.size(), end - at));
      TESSERA_TRY(ReadPiece(Piece(join, rank), at, run));
      for (size_t done = 0; done < run.size();) {
        const uint64_t column = at % share;
        const size_t size = std::min<uint64_t>(run.size() - done, share - column);
        const uint64_t place = at / share * row + rank * share + column;
        std::memcpy(out.data() + (place - begin), run.data() + done, size);
        done += size;
        at += size;
      }
    }
  }
  return {};
}

Result<void> RankReader::ReadCopies(const TensorInfo& tensor, const RankJoin& join, uint64_t begin,
                                    std::span<std::byte> out) const {
  TESSERA_TRY(ReadPiece(Piece(join, 0), begin, out));
  std::vector<std::byte> scratch(std::min<uint64_t>(out.size(), kScratchBytes));
  for (uint32_t rank = 1; rank < join.pieces; ++rank) {
    for (size_t at = 0; at < out.size(); at += scratch.size()) {
      const auto mine = out.subspan(at, std::min(scratch.size(), out.size() - at));
      const auto theirs = std::span(scratch).first(mine.size());
      TESSERA_TRY(ReadPiece(Piece(join, rank), begin + at, theirs));
      const auto differs = std::ranges::mismatch(mine, theirs).in1;
      if (differs == mine.end()) continue;
      const uint64_t place = begin + at + static_cast<uint64_t>(differs - mine.begin());
      return Fail(
          Error(ErrorCode::kRanksDiffer, "the ranks' copies of " + tensor.name() + " differ")
              .In(shards_[Piece(join, rank).shard].name)
              .Expected("the bytes of " + shards_[Piece(join, 0).shard].name)
              .Found("another value in byte " + std::to_string(place) + " of the tensor")
              .Next("one of the two files is damaged, or they are of different models"));
    }
  }
  return {};
}

}  // namespace tessera
