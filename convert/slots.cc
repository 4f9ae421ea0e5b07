#include "convert/slots.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "convert/worker_pool.h"

namespace tessera {
namespace {

constexpr uint64_t kDefaultMemory = uint64_t{256} << 20;
constexpr size_t kAlignment = 4096;  // what direct I/O would ask for
// A tile above this does not size the slots: it is given a buffer of its own.
constexpr uint64_t kLargestSlot = 3 * kTileBytes;

constexpr uint64_t AlignUp(uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

Result<Buffer> Buffer::Allocate(uint64_t bytes) {
  Buffer buffer;
  buffer.bytes_.reset(static_cast<std::byte*>(
      std::aligned_alloc(kAlignment, std::max<uint64_t>(kAlignment, AlignUp(bytes)))));
  if (buffer) return buffer;
  return Fail(Error(ErrorCode::kMemoryBudget, "there is not enough memory for the buffers")
                  .Expected(std::to_string(bytes) + " bytes")
                  .Next("give less with --memory"));
}

void Reserve::Take(uint64_t bytes) {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [&] { return free_ >= bytes; });
  free_ -= bytes;
}

void Reserve::Return(uint64_t bytes) {
  {
    const std::scoped_lock lock(mutex_);
    free_ += bytes;
  }
  returned_.notify_one();
}

uint64_t SlotBytes(const Step& step) {
  const TileShape shape = ShapeOfTile(step, step.TileRows(0));
  uint64_t bytes = 0;
  for (const ByteRange& range : shape.reads) bytes += AlignUp(range.size());
  if (!step.is_copy()) {
    for (const ByteRange& range : shape.writes) bytes += AlignUp(range.size());
  }
  for (const Destination& d : step.destinations) {
    if (!d.is_whole_rows()) bytes += shape.writes[d.part].size() / d.row_bytes * d.columns.size();
  }
  return AlignUp(bytes);
}

void DivideSlot(Slot& slot, const TileShape& shape) {
  std::byte* next = slot.large ? slot.large.data() : slot.buffer.data();
  const auto take = [&next](const ByteRange& range) {
    const std::span<std::byte> span(next, range.size());
    next += AlignUp(range.size());
    return span;
  };
  slot.reads.clear();
  slot.writes.clear();
  for (const ByteRange& range : shape.reads) slot.reads.push_back(take(range));
  if (slot.step->is_copy()) {
    slot.writes = slot.reads;
  } else {
    for (const ByteRange& range : shape.writes) slot.writes.push_back(take(range));
  }
  slot.spare = next;
}

void CutOutputs(Slot& slot) {
  const TileShape shape = ShapeOfTile(*slot.step, slot.rows);
  slot.outputs.clear();
  for (const Destination& d : slot.step->destinations) {
    const std::optional<ByteRange> place = PlaceInDestination(*slot.step, d, slot.rows, shape);
    if (!place) continue;
    std::span<const std::byte> data = slot.writes[d.part];
    if (!d.is_whole_rows()) {
      const std::byte* row = data.data() + d.columns.begin;
      data = std::span<const std::byte>(slot.spare, place->size());
      for (uint64_t done = 0; done < place->size(); done += d.columns.size()) {
        std::memcpy(slot.spare, row, d.columns.size());
        slot.spare += d.columns.size();
        row += d.row_bytes;
      }
    }
    slot.outputs.push_back({&d, place->begin, data});
  }
}

Result<Buffers> PlanBuffers(const Plan& plan, const RunOptions& options) {
  Buffers buffers;
  uint64_t largest = kAlignment;
  for (const Step& step : plan.steps) {
    const uint64_t bytes = SlotBytes(step);
    largest = std::max(largest, bytes);
    if (bytes <= kLargestSlot) buffers.slot_bytes = std::max(buffers.slot_bytes, bytes);
  }
  buffers.slot_bytes = std::max(buffers.slot_bytes, uint64_t{kAlignment});
  const bool reserves = largest > buffers.slot_bytes;
  if (plan.compress) buffers.packer_bytes = ZstdPacker::BytesFor(plan.compress);
  const uint64_t one_tile = buffers.slot_bytes + (reserves ? largest : 0);
  const uint64_t least = one_tile + buffers.packer_bytes;
  const uint64_t memory = options.memory == 0 ? std::max(kDefaultMemory, least) : options.memory;
  if (least > memory) {
    return Fail(Error(ErrorCode::kMemoryBudget, "the memory budget is too small for a single tile")
                    .Expected("--memory of at least " + std::to_string(least) + " bytes")
                    .Found(std::to_string(memory) + " bytes"));
  }
  // Beyond a few tiles a thread, more slots only make more of memory dirty.
  const uint64_t threads = options.threads == 0 ? AvailableCores() : options.threads;
  if (plan.compress) {
    const uint64_t share = std::min(memory - one_tile, memory / 4);
    buffers.packers =
        static_cast<uint32_t>(std::clamp<uint64_t>(share / buffers.packer_bytes, 1, threads));
  }
  const uint64_t useful =
      std::min<uint64_t>(2 * threads + 4 * kIoThreads, std::max<uint64_t>(1, plan.tiles));
  const uint64_t for_tiles = memory - buffers.packer_bytes * buffers.packers;
  const uint64_t for_slots = for_tiles - (reserves ? largest : 0);
  buffers.slots = static_cast<uint32_t>(std::min(for_slots / buffers.slot_bytes, useful));
  if (reserves) {
    const uint64_t left = for_tiles - buffers.slots * buffers.slot_bytes;
    buffers.reserve = std::min(left, useful * largest);
  }
  return buffers;
}

}  // namespace tessera
