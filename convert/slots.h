// The memory that tiles flow through: how much a run may hold, and how a tile uses its share.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "convert/journal.h"
#include "convert/plan.h"
#include "convert/request.h"
#include "formats/result.h"

namespace tessera {

inline constexpr unsigned kIoThreads = 2;  // readers, and as many writers

// What one run may hold in buffers: slots of the largest ordinary tile, and a reserve from which
// the few larger ones (weights that cannot be cut by rows) are given memory of their own.
struct Buffers {
  uint64_t slot_bytes = 0;
  uint32_t slots = 0;
  uint64_t reserve = 0;
  uint32_t packers = 0;  // threads that compress files, and what each of them holds
  uint64_t packer_bytes = 0;

  uint64_t bytes() const { return slot_bytes * slots + reserve + packer_bytes * packers; }
};
// kMemoryBudget, naming the least that would do, if not even one tile fits.
Result<Buffers> PlanBuffers(const Plan& plan, const RunOptions& options);

// Page-aligned bytes.
class Buffer {
 public:
  Buffer() = default;
  // kMemoryBudget if there is not enough memory.
  static Result<Buffer> Allocate(uint64_t bytes);

  std::byte* data() const { return bytes_.get(); }
  explicit operator bool() const { return bytes_ != nullptr; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte[], Free> bytes_;
};

// The part of the budget that large tiles share, handed out in the order of asking. Whoever waits
// is served once tiles in flight are written, which never wait for this.
class Reserve {
 public:
  void Set(uint64_t bytes) { free_ = bytes; }
  void Take(uint64_t bytes);
  void Return(uint64_t bytes);

 private:
  std::mutex mutex_;
  std::condition_variable returned_;
  uint64_t free_ = 0;
};

// What one destination gets of a tile.
struct Output {
  const Destination* destination;
  uint64_t offset;  // in the destination's tensor
  std::span<const std::byte> data;
};

// One tile on its way, with the memory it uses.
struct Slot {
  Buffer buffer;
  Buffer large;              // instead of `buffer`, for a tile that does not fit
  uint64_t large_bytes = 0;  // taken from the reserve
  const Step* step = nullptr;
  uint64_t tile = 0;  // within the step
  RowRange rows;
  std::vector<std::span<std::byte>> reads;     // by source part
  std::vector<std::span<std::byte>> writes;    // by part; of a copy, the same bytes as reads
  std::vector<std::vector<float>> importance;  // by part, if the step weighs columns
  std::byte* spare = nullptr;                  // what the buffer has left: room for column slices
  std::vector<Output> outputs;                 // by destination that has a share in this tile
  TileRecord record;
  bool good = false;  // computed, and fit to be written

  uint64_t number() const { return step->first_tile + tile; }
};

// What a tile of this step needs.
uint64_t SlotBytes(const Step& step);

// Divides the slot's memory among the tile's parts.
void DivideSlot(Slot& slot, const TileShape& shape);

// Cuts the tile up for its destinations: whole rows are used where they lie, columns are gathered.
void CutOutputs(Slot& slot);

}  // namespace tessera
